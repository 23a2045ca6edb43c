// SPDX-License-Identifier: Apache-2.0
// The same connections, written by HAProxy and by our interpreter with the same format: the lines must agree.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { compileLogFormat } from '../../agent/core/log/log-format.js';
import type { LoggedFlow } from '../../agent/core/log/logged-flow.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { localMoment, utcMoment } from '../../agent/shell/wall-clock.js';
import { ended, until } from '../support/run.js';

/** Prints each datagram as a line of JSON. */
const RECEIVER = `
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
print('"ready"', flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** What differs from run to run, and is read back out of HAProxy's own line, stands in front. */
const FACTS = '%cp %bp %Ts %ms %Tt %pid %ci ';

const formats: readonly string[] = [
  '%f %ci %cp %t - - %B %U %[ssl_c_verify] %{+Q}[ssl_c_s_dn] %b %s %Tt %tsc',
  '%{+Q}f %{+X}ci %{+X}cp %{+X}Ts %{+X}ms %{+X}pid %{+X}B %{+Q}[ssl_c_s_dn] %{+Q,+X}ci %sslc %{+Q}sslv',
  '%{+Q}o %f %ci %Tt %{-Q}s %tsc %t %sslc %T %Tl %pid %B lit %{+X}o %ci %cp %pid %ms %{+E}f',
  '100%%   of\tblanks, %ft|%fi:%fp|%si:%sp|%bi:%bp|%{+X}fp%{+X}bp,%{+X}si %{+X}fi %H %ts',
  '%Tu %Td %Th %rc %ac %fc %bc %bq %sq %ID %[src] %[src_port] %[dst] %[dst_port] %{+Q}[src]',
];

interface Stage {
  readonly lines: string[];
  readonly port: (name: string) => number;
  readonly memberPort: number;
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
};

const stage = async (t: Test): Promise<Stage & { config: string }> => {
  const directory = mkdtempSync(join(tmpdir(), 'amp-log-'));
  const children: ChildProcess[] = [];
  const member = createServer((socket) => {
    socket.once('data', () => socket.end('four'));
    socket.on('error', () => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(member, 'listening');
  t.teardown(async () => {
    member.close();
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map(ended));
    rmSync(directory, { recursive: true });
  });
  const receiver = spawn('python3', ['-c', RECEIVER, join(directory, 'log')]);
  children.push(receiver);
  const lines: string[] = [];
  createInterface({ input: receiver.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as string);
  });
  await until('receiver is there', async () => lines.shift() === 'ready');

  const memberPort = (member.address() as AddressInfo).port;
  const names = [...formats.map((_, i) => `good${i}`), ...formats.map((_, i) => `none${i}`)];
  const ports = new Map<string, number>();
  for (const name of names) ports.set(name, await freePort());
  const port = (name: string): number => ports.get(name) ?? 0;
  const frontends = names.map((name) => {
    const format = formats[Number(name.slice(4))]?.replaceAll(/[ \t"]/g, '\\$&') ?? '';
    return `frontend ${name}
    bind 127.0.0.1:${port(name)}
    mode tcp
    default_backend ${name.slice(0, 4)}:x
    log-format ${FACTS.replaceAll(' ', '\\ ')}${format.replaceAll('\\\t', '\\t')}
`;
  });
  const config = `global
    log ${directory}/log local0
    log ${directory}/log local1 notice
    stats socket ${directory}/stats
defaults
    log global
    timeout client 5s
    timeout server 5s
    timeout connect 1s
${frontends.join('')}backend good:x
    mode tcp
    server m1 127.0.0.1:${memberPort}
backend none:x
    mode tcp
    server m1 127.0.0.1:${memberPort} disabled
`;
  writeFileSync(join(directory, 'haproxy.cfg'), config);
  const haproxy = spawn('haproxy', ['-db', '-f', join(directory, 'haproxy.cfg')], {
    stdio: 'pipe',
  });
  children.push(haproxy);
  const dial = (to: number): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(to, '127.0.0.1', () => {
        resolve(socket);
      });
      socket.on('error', reject);
    });
  for (const name of names) {
    const socket = await until(`${name} listens`, async () =>
      dial(port(name)).catch(() => undefined),
    );
    socket.on('error', () => undefined);
    socket.resume();
    socket.end('ninebytes');
    await once(socket, 'close');
  }
  await until('a line per connection', async () => lines.length >= names.length);
  return { lines, port, memberPort, config };
};

t.test('our lines are HAProxy’s', async (t) => {
  const { lines, port, memberPort, config } = await stage(t);
  const parsed = parseHaproxyConfig(config, { basePath: tmpdir() });
  for (const { id, logFormat, logTargets } of parsed.listeners) {
    const index = Number(id.slice(4));
    const isGood = id.startsWith('good');
    const line = lines.find((one) => one.includes(`: `) && wasFor(one, id, port(id)));
    if (line === undefined) {
      t.fail(`no line of HAProxy's for ${id}: ${formats[index] ?? ''}`);
      continue;
    }
    const body = line.replace(/^[^:]+:\d\d:\d\d [^:]+: /, '').trimEnd();
    const [cp, bp, seconds, ms, duration, pid] = body.split(' ').map(Number);
    const end = (number: number | undefined) => ({ address: '127.0.0.1', port: number ?? 0 });
    const flow: LoggedFlow = {
      listenerId: id,
      backend: `${id.slice(0, 4)}:x`,
      memberId: isGood ? 'm1' : null,
      client: end(cp),
      vip: end(port(id)),
      source: isGood ? end(bp) : null,
      member: isGood ? end(memberPort) : null,
      acceptedMs: (seconds ?? 0) * 1000 + (ms ?? 0),
      durationMs: duration ?? 0,
      bytesFromClient: isGood ? 9 : 0,
      bytesToClient: isGood ? 4 : 0,
      retries: 0,
      isEstablished: isGood,
      termination: isGood ? '--' : 'SC',
    };
    const ours = compileLogFormat(logFormat ?? '')(flow, {
      pid: pid ?? 0,
      hostName: hostname(),
      local: localMoment,
      utc: utcMoment,
      open: () => ({ all: 0, listener: 0 }),
    });
    t.equal(ours, body, `${id} ${formats[index] ?? ''}`);
    t.strictSame(
      logTargets?.map(({ facility, tag }) => [facility, tag]),
      [[16, 'haproxy']],
      'the one that takes severity info',
    );
    t.match(line, /^<134>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d haproxy\[\d+\]: /);
  }
});

/** Formats differ, and so does what tells their lines apart. */
const wasFor = (line: string, id: string, port: number): boolean =>
  line.includes(id) ||
  line.includes(`:${port}`) ||
  new RegExp(`127\\.0\\.0\\.1 ${port}( |$)`).test(line);
