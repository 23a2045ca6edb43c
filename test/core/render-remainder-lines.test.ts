// SPDX-License-Identifier: Apache-2.0
// The remainder line by line: what is dropped, what is kept, what is said in other words, what is added.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseIpAddress } from '../../agent/core/model/address.js';
import type { IpAddress, Listener, Member, Monitor } from '../../agent/core/model/load-balancer.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { currentConfig } from '../../agent/core/render/current-config.js';
import { renderRemainder, type RemainderInput } from '../../agent/core/render/remainder.js';

const commands = { ping: '/opt/ping', udp: '/opt/udp', sctp: '/opt/sctp' };

const render = (text: string | null, rest: Partial<RemainderInput> = {}): string | null =>
  renderRemainder({
    loadBalancerId: 'lb1',
    text,
    listeners: text === null ? [] : parseHaproxyConfig(text).listeners,
    lvsListeners: [],
    commands,
    ...rest,
  });

const accepts = (t: Test, text: string | null): void => {
  const file = join(t.testdir({ 'haproxy.cfg': text ?? '' }), 'haproxy.cfg');
  t.doesNotThrow(() => execFileSync('haproxy', ['-c', '-f', file], { stdio: 'pipe' }), text ?? '');
};

const comment = [
  '# Configuration for loadbalancer lb1',
  '# What is left for HAProxy of the uploaded configs; written anew at each change.',
];
const socket = '    stats socket /var/lib/octavia/lb1.sock mode 0666 level user';
const head = ['global', '    maxconn 100', socket, ''];
const tcp = [
  'frontend l1',
  '    bind 10.0.0.1:80',
  '    mode tcp',
  '    default_backend p1:l1',
  '',
];
const http = [
  'frontend l2',
  '    bind 10.0.0.1:81',
  '    mode http',
  '    default_backend p2:l2',
  '',
];
const timeouts = ['    timeout connect 5000', '    timeout server 50000'];
const plain = [
  'backend p1:l1',
  '    mode tcp',
  ...timeouts,
  '    server m1 10.1.0.1:80 weight 1',
  '',
];
const checked = plain.map((line) => (line.includes('server m1') ? `${line} check inter 1s` : line));
const web = ['backend p2:l2', '    mode http', ...timeouts, '    server m2 10.1.0.2:80', ''];
const text = (...parts: readonly (readonly string[])[]): string => parts.flat().join('\n');

t.test('nothing is left of a listener that the datapath serves without a monitor', async (t) => {
  t.equal(render(text(head, tcp, plain)), null);
  t.equal(render(text(head)), null);
  t.equal(render(null), null);
});

t.test('the backend stays where it has a monitor', async (t) => {
  const left = render(text(head, tcp, checked));
  t.equal(left, text(comment, head, checked));
  accepts(t, left);
});

t.test('what HAProxy serves stays as it was, beside what it no longer serves', async (t) => {
  t.equal(render(text(head, tcp, plain, http, web)), text(comment, head, http, web));
});

t.test('a backend stays that a frontend of HAProxy may choose', async (t) => {
  const chosen = http.toSpliced(
    3,
    1,
    '    use_backend p1:l1 if { path /x }',
    '    default_backend p2:l2',
  );
  t.match(render(text(head, tcp, plain, chosen, web)), /^backend p1:l1$/m);
  const any = http.toSpliced(3, 1, "    use_backend '%[req.hdr(x)]'");
  t.match(render(text(head, tcp, plain, any)), /^backend p1:l1$/m);
});

t.test('a backend of another name goes with its frontend', async (t) => {
  const rename = (lines: readonly string[]) => lines.map((line) => line.replace('p1:l1', 'pool'));
  t.equal(render(text(head, rename(tcp), rename(plain))), null);
});

t.test('sections that are no proxies stay, and a listen keeps HAProxy busy', async (t) => {
  const own = ['listen stats', '    mode http', '    bind 127.0.0.1:8404', '    stats enable', ''];
  const peers = ['peers x', '    peer a 10.0.0.5:1025', ''];
  t.equal(render(text(head, peers, tcp, plain, own)), text(comment, head, peers, own));
  t.equal(render(text(head, peers, tcp, plain)), null);
});

t.test('lines of old controllers go', async (t) => {
  const old = ['global', socket, '    user nobody', '    group nogroup', ''];
  const internal = http.toSpliced(3, 0, '    option http-use-htx');
  const left = render(text(old, internal, web));
  const current = ['global', socket, '    user nobody', ''];
  t.equal(left, text(comment, current, http, web));
  const whole = currentConfig(text(old, internal, web));
  t.equal(
    whole.split('\n').length,
    text(old, internal, web).split('\n').length,
    'each keeps its number',
  );
  t.notMatch(whole, /htx|group/);
  accepts(t, whole);
});

t.test('expected codes in another order are no change', async (t) => {
  const withCodes = (codes: string): string | null => {
    const lines = ['    option httpchk GET / HTTP/1.0', `    http-check expect rstatus ${codes}`];
    return render(text(head, tcp, checked.toSpliced(2, 0, ...lines)));
  };
  const left = withCodes('204|200|301');
  t.equal(left, withCodes('301|204|200'));
  t.match(left, '    http-check expect rstatus 200|204|301\n');
  accepts(t, left);
  for (const other of ['200', '2..|200', '^20[04]$', '200|'])
    t.match(withCodes(other), `    http-check expect rstatus ${other}\n`, 'not a set of codes');
});

const checks: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  [
    'a version with line ends',
    ['option httpchk GET / HTTP/1.0\\r\\n'],
    ['option httpchk GET / HTTP/1.0'],
  ],
  [
    'a header in the version',
    ['option httpchk HEAD /a\\ b HTTP/1.1\\r\\nHost:\\ www.example.com'],
    ['option httpchk HEAD /a\\ b HTTP/1.1', 'http-check send hdr Host www.example.com'],
  ],
  [
    'a header that is sent already',
    ['option httpchk GET / HTTP/1.1\\r\\nHost:\\ a', 'http-check send hdr Host a'],
    ['option httpchk GET / HTTP/1.1', 'http-check send hdr Host a'],
  ],
  [
    'a line end alone',
    ["option httpchk GET '' '\\r\\n\\r\\nx'"],
    ["option httpchk GET '' '\\r\\n\\r\\nx'"],
  ],
  [
    'words that need quotes',
    ['option httpchk GET /\\#\\ \\" HTTP/1.0\\r\\nnonsense'],
    ['option httpchk GET /\\#\\ \\" HTTP/1.0'],
  ],
  ['a check of today', ['option httpchk GET /  HTTP/1.0'], ['option httpchk GET /  HTTP/1.0']],
  ['a check without more', ['option httpchk'], ['option httpchk']],
];
for (const [what, uploaded, expected] of checks) {
  t.test(`${what} is said so that every HAProxy takes it`, async (t) => {
    const body = (lines: readonly string[]) =>
      checked.toSpliced(2, 0, ...lines.map((l) => `    ${l}`));
    const left = render(text(head, tcp, body(uploaded)));
    t.equal(left, text(comment, head, body(expected)));
    accepts(t, left);
  });
}

const ip = (address: string): IpAddress => parseIpAddress(address) ?? ('' as IpAddress);
const member = (id: string, address: string | null, changes: Partial<Member> = {}): Member => ({
  id,
  address: address === null ? null : ip(address),
  port: address === null ? null : 53,
  weight: 2,
  backup: false,
  enabled: address !== null,
  monitorAddress: null,
  monitorPort: null,
  ...changes,
});

const udp = (monitor: Partial<Monitor> | null, changes: Partial<Listener> = {}): Listener => ({
  id: 'l9',
  loadBalancerId: 'lb1',
  origin: 'lvs',
  protocol: 'UDP',
  enabled: true,
  vips: [],
  connectionLimit: null,
  timeouts: { clientMs: 1, connectMs: 1, serverMs: 1 },
  defaultPool: 'p9',
  engine: 'datapath',
  reasons: [],
  logFormat: null,
  pools: [
    {
      id: 'p9',
      protocol: 'udp',
      algorithm: 'ROUND_ROBIN',
      persistence: null,
      memberConnectionLimit: null,
      timeouts: { connectMs: 5000, serverMs: 50_000 },
      monitor:
        monitor === null
          ? null
          : {
              type: 'TCP',
              id: null,
              intervalSeconds: 7,
              timeoutSeconds: 3,
              fall: 4,
              rise: 1,
              ...monitor,
            },
      members: [
        member('m1', '10.1.0.1'),
        member('m2', null),
        member('m3', '2001:db8::3', { monitorAddress: ip('2001:db8::4'), monitorPort: 80 }),
      ],
    },
  ],
  ...changes,
});

/** What stands between `timeout check` and the other timeouts, and the options of its servers. */
const udpBackend = (how: readonly string[], option = ''): string[] => [
  'backend p9:l9',
  '    mode tcp',
  '    balance roundrobin',
  '    load-server-state-from-file global',
  '    timeout check 3s',
  ...how.map((line) => `    ${line}`),
  '    timeout connect 5000',
  '    timeout server 50000',
  `    server m1 10.1.0.1:53 weight 2 check${option} inter 7s fall 4 rise 1`,
  `    server m3 [2001:db8::4]:80 weight 2 check${option} inter 7s fall 4 rise 1`,
  '',
];
const program = (command: string): string[] => [
  'option external-check',
  'external-check path /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  `external-check command ${command}`,
];
const http2codes = { httpPath: '/a b', expectedCodes: [200, 204] };
const httpLines = ['option httpchk GET /a\\ b HTTP/1.0', 'http-check expect rstatus ^(200|204)$'];

const monitors: readonly (readonly [Partial<Monitor>, readonly string[], string?])[] = [
  [{ type: 'TCP' }, []],
  [{ type: 'HTTP', ...http2codes }, httpLines],
  [{ type: 'HTTPS', ...http2codes }, httpLines, ' check-ssl verify none'],
  [
    { type: 'HTTP', httpHost: 'x' },
    ['option httpchk GET / HTTP/1.0', 'http-check send hdr Host x'],
  ],
  [{ type: 'TLS-HELLO' }, [], ' check-ssl verify none'],
  [{ type: 'UDP-CONNECT' }, program('/opt/udp')],
  [{ type: 'SCTP' }, program('/opt/sctp')],
  [{ type: 'PING' }, program('/opt/ping')],
];
for (const [monitor, how, option] of monitors) {
  t.test(`the ${monitor.type ?? ''} monitor of an LVS pool becomes a backend`, async (t) => {
    const needsPrograms = how.some((line) => line.startsWith('external-check'));
    const additions = needsPrograms ? ['    external-check', '    insecure-fork-wanted'] : [];
    const left = render(text(head, tcp, plain), { lvsListeners: [udp(monitor)] });
    const global = ['global', '    maxconn 100', socket, ...additions, ''];
    t.equal(left, text(comment, global, udpBackend(how, option)));
    accepts(t, left);
  });
}

t.test('a load balancer of UDP listeners alone gets a frame', async (t) => {
  const left = render(null, {
    lvsListeners: [udp({ type: 'SCTP' })],
    basePath: '/srv/x',
    privilegedChecks: true,
  });
  const frame = [
    'global',
    '    user nobody',
    '    log /run/rsyslog/octavia/log local1 notice',
    '    server-state-file /srv/x/lb1/servers-state',
    '    maxconn 1000',
    '    stats socket /srv/x/lb1.sock mode 0666 level user',
    '    external-check',
    '    insecure-fork-wanted',
    '    insecure-setuid-wanted',
    '',
  ];
  t.equal(left, text(comment, frame, udpBackend(program('/opt/sctp'))));
  accepts(t, left);
});

t.test('an upload without a stats socket gets one: health is read from it', async (t) => {
  const global = ['global', '    daemon', ''];
  const left = render(text(global, tcp, checked));
  t.equal(left, text(comment, ['global', '    daemon', socket, ''], checked));
  const none = render(text(tcp, checked));
  t.match(none, /^ +stats socket \/var\/lib\/octavia\/lb1.sock/m);
  accepts(t, none);
});

t.test('an upload that runs programs already is not told twice', async (t) => {
  const global = ['global', '    external-check', '    insecure-fork-wanted', ''];
  const left = render(text(global, http, web), { lvsListeners: [udp({ type: 'SCTP' })] });
  t.equal(left?.match(/^ +external-check$/gm)?.length, 1);
  t.equal(left?.match(/insecure-fork-wanted/g)?.length, 1);
});

t.test('LVS listeners with nothing to check add nothing', async (t) => {
  t.equal(render(null, { lvsListeners: [udp(null)] }), null);
  t.equal(render(null, { lvsListeners: [udp({}, { enabled: false })] }), null);
  const [pool] = udp({}).pools;
  const none = pool === undefined ? [] : [{ ...pool, members: [member('m2', null)] }];
  t.equal(render(null, { lvsListeners: [udp({}, { pools: none })] }), null);
});
