// SPDX-License-Identifier: Apache-2.0
// The interpreter of `log-format`: variable by variable here, beside a real HAProxy in log-format-live.
import t from 'tap';
import { compileLogFormat } from '../../agent/core/log/log-format.js';
import type { LogContext, LoggedFlow } from '../../agent/core/log/logged-flow.js';
import { defaultTarget, LOCAL0, logHeader, logMessage } from '../../agent/core/log/log-target.js';

const moment = (zone: string) => () => ({
  ...{ year: 2026, month: 10, day: 2, hour: 5, minute: 4, second: 3 },
  zone,
});
const context: LogContext = {
  pid: 255,
  hostName: 'amphora-1',
  local: moment('+0100'),
  utc: moment('+0000'),
  open: () => ({ all: 7, listener: 3 }),
};
const flow: LoggedFlow = {
  listenerId: 'web',
  backend: 'pool:web',
  memberId: 'm1',
  client: { address: '127.0.0.1', port: 4000 },
  vip: { address: '2001:db8::10', port: 80 },
  source: { address: '10.0.0.5', port: 20000 },
  member: { address: '10.1.0.10', port: 8080 },
  acceptedMs: 1_795_000_000_007.9,
  durationMs: 1234,
  bytesFromClient: 5,
  bytesToClient: 6,
  retries: 1,
  isEstablished: true,
  termination: 'cD',
};
const refused: LoggedFlow = {
  ...flow,
  ...{ memberId: null, source: null, member: null, isEstablished: false, termination: 'SC' },
  ...{ backend: 'web', durationMs: 0, bytesFromClient: 0, bytesToClient: 0, retries: 0 },
};
const quote = { ...flow, listenerId: 'a"b\\c]d' };

const cases: readonly (readonly [format: string, line: string, flow?: LoggedFlow])[] = [
  ['%f %ft %b %s', 'web web pool:web m1'],
  ['%b %s', 'web <NOSRV>', refused],
  ['%ci %cp %fi %fp', '127.0.0.1 4000 2001:db8::10 80'],
  ['%bi %bp %si %sp', '10.0.0.5 20000 10.1.0.10 8080'],
  ['%bi %bp %si %sp', '- - - -', refused],
  ['%{+X}ci %{+X}cp', '7F000001 0FA0'],
  ['%{+X}fi', '20010DB8000000000000000000000010'],
  ['%{+X}si %{+X}sp', '- -', refused],
  ['%{+X}pid %{+X}Ts %{+X}ms %{+X}B', '00FF 6AFD86C0 07 6'],
  ['%pid %Ts %ms', '255 1795000000 007'],
  ['%t', '02/Nov/2026:05:04:03.007'],
  ['%T|%Tl', '02/Nov/2026:05:04:03 +0000|02/Nov/2026:05:04:03 +0100'],
  ['%B %U', '6 5'],
  ['%Tt %Tu %Td %Th %Tw %Tc', '1234 1234 1234 0 0 0'],
  ['%Tt %Tu %Td %Th %Tw %Tc', '0 0 -1 0 -1 -1', refused],
  ['%ts %tsc', 'cD cD--'],
  ['%rc %ac %fc %bc %bq %sq', '1 8 4 3 0 0'],
  ['%H', 'amphora-1'],
  ['%[src] %[src_port] %[dst] %[dst_port]', '127.0.0.1 4000 2001:db8::10 80'],
  ['%[ssl_c_verify] %{+Q}[ssl_c_s_dn] %{+Q}[ssl_c_s_dn(cn,1)]', '- "" ""'],
  ['%sslv %{+Q}sslc %r %unknown', '- "" - -'],
  ['%{+Q}f %{+Q}ci %{+Q}B', '"web" "127.0.0.1" 6'],
  ['%{+Q,+X}ci', '7F000001'],
  ['%{+Q}o %f %ci %{-Q}s %Tt %sslc', '"web" "127.0.0.1" m1 1234 ""'],
  ['%{+E}f %{+Q,+E}f %f', 'a\\"b\\\\c\\]d "a\\"b\\\\c\\]d" a"b\\c]d', quote],
  ['100%% of  a\t b  %', '100% of a\t b %'],
  ['%{+X}fp%{+X}cp', '00500FA0'],
  ['[%f]{%s}', '[web]{m1}'],
  ['', ''],
];
for (const [format, line, one = flow] of cases) {
  t.test(`${format} gives ${line}`, async (t) => {
    t.equal(compileLogFormat(format)(one, context), line);
  });
}

t.test('header and message as HAProxy sends them', async (t) => {
  const target = defaultTarget(LOCAL0);
  const header = logHeader(target, context.local(0), 15390);
  t.equal(header, '<134>Nov  2 05:04:03 haproxy[15390]: ');
  t.equal(logMessage(header, 'a b', target).toString(), `${header}a b\n`);
  t.equal(logHeader(defaultTarget(19), context.local(0), 1).slice(0, 5), '<158>');
});

t.test('a message has one line, and no more bytes than the target takes', async (t) => {
  const target = { ...defaultTarget(LOCAL0), length: 20 };
  t.equal(logMessage('<1>x: ', 'a\nb\u0007c', target).toString(), '<1>x: a b c\n');
  const long = logMessage('<1>x: ', 'é'.repeat(40), target);
  t.equal(long.length, 20);
  t.equal(long.at(-1), 10);
});
