// SPDX-License-Identifier: Apache-2.0
// Which listeners log, where to, and with which format.
import t from 'tap';
import { loggedListeners } from '../../agent/core/log/lvs-log.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { haproxyFixture, lvsFixture } from '../support/fixtures.js';

const config = (global: readonly string[], defaults: readonly string[], frontend = '') =>
  [
    'global',
    ...global.map((line) => `    ${line}`),
    'defaults',
    ...defaults.map((line) => `    ${line}`),
    'frontend l1\n    bind 10.0.0.1:80\n    mode tcp\n    log-format %ci\n    default_backend p:l1',
    frontend,
    'backend p:l1\n    mode tcp\n    server m 10.1.0.1:80\n',
  ].join('\n');

const socket = '/run/rsyslog/octavia/log';
const target = { path: socket, facility: 16, tag: 'haproxy', length: 1024 };
const both = [`log ${socket} local0`, `log ${socket} local1 notice`];

const cases = [
  ['the controller’s own', both, ['log global'], [target], 'datapath'],
  ['no log', both, ['no log'], [], 'datapath'],
  ['nothing said', both, [], [], 'datapath'],
  [
    'taken back, then said again',
    both,
    ['log global', 'no log', 'log global'],
    [target],
    'datapath',
  ],
  ['global without targets', [], ['log global'], [], 'datapath'],
  ['only for errors', [`log ${socket} local0 err`], ['log global'], [], 'datapath'],
  [
    'level, length and tag',
    ['log-tag lb', `log ${socket} len 512 local7 info notice`],
    ['log global'],
    [{ ...target, facility: 23, tag: 'lb', length: 512 }],
    'datapath',
  ],
  [
    'a target of the defaults',
    both,
    ['log /dev/log user debug'],
    [{ ...target, path: '/dev/log', facility: 1 }],
    'datapath',
  ],
  ['over the network', ['log 192.0.2.1:514 local0'], ['log global'], [], 'haproxy'],
  ['in another format', [`log ${socket} format rfc5424 local0`], ['log global'], [], 'haproxy'],
  ['over the network, but quiet', ['log 192.0.2.1 local0 err'], ['log global'], [], 'datapath'],
] as const;
for (const [name, global, defaults, targets, engine] of cases) {
  t.test(name, async (t) => {
    const parsed = parseHaproxyConfig(config(global, defaults));
    const [listener] = parsed.listeners;
    t.strictSame(parsed.logTargets, targets);
    t.strictSame(listener?.logTargets, targets);
    t.equal(listener?.logFormat, targets.length === 0 ? null : '%ci');
    t.equal(listener?.engine, engine);
    if (engine === 'haproxy') t.match(listener?.reasons, [{ code: 'log-target' }]);
  });
}

const lvs = parseLvsConfig(lvsFixture('a38-udp-and-tcp'));
const lvsUpload = { kind: 'lvs' as const, upload: { ...lvs, logTargets: [], listeners: [lvs] } };
const options = { facility: 3, logsDatagrams: true };
const formatOf = (...[combined, changed]: [string | null, Partial<typeof options>?]) => {
  const parsed = combined === null ? [] : [parseHaproxyConfig(combined)];
  const configs = parsed.map((upload) => ({ kind: 'haproxy' as const, upload }));
  const all = loggedListeners([...configs, lvsUpload], { ...options, ...changed });
  const { logFormat, logTargets } = all.at(-1) ?? {};
  return { logFormat, facilities: (logTargets ?? []).map(({ facility }) => facility) };
};
const combined = haproxyFixture('a38-udp-and-tcp');
const rest = '%f %ci %cp %t - - %B %U %[ssl_c_verify] %{+Q}[ssl_c_s_dn] %b %s %Tt %tsc';

t.test('a UDP listener logs as its load balancer does', async (t) => {
  const project = /log-format (\S+)\\ /.exec(combined)?.[1] ?? '';
  const { logFormat, facilities } = formatOf(combined);
  t.strictSame(facilities, [16], 'where the config says');
  t.equal(logFormat, `${project} ${lvs.loadBalancerId} ${rest}`);
});

t.test('requests are left out of an HTTP listener’s format', async (t) => {
  const http = combined.replace(/-\\ -\\ /, '%{+Q}r\\ %ST\\ ');
  t.equal(formatOf(http).logFormat, formatOf(combined).logFormat);
});

t.test('a UDP listener without a combined config has the default format', async (t) => {
  t.strictSame(formatOf(null), {
    logFormat: `- ${lvs.loadBalancerId} ${rest}`,
    facilities: [19],
  });
  const other = combined.replaceAll(lvs.loadBalancerId, '00000000-0000-4000-8000-000000000001');
  t.equal(formatOf(other).logFormat, `- ${lvs.loadBalancerId} ${rest}`, 'nor with another’s');
});

t.test('a UDP listener does not log where its load balancer does not', async (t) => {
  const quiet = combined.replace('log global', 'no log').replaceAll(/^ +log-format .*\n/gm, '');
  t.equal(formatOf(quiet).logFormat, null);
  t.equal(formatOf(combined.replaceAll(/^ +log-format .*\n/gm, '')).logFormat, null);
  t.equal(formatOf(combined, { logsDatagrams: false }).logFormat, null, 'or the option says no');
});
