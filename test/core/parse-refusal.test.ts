// SPDX-License-Identifier: Apache-2.0
// Configs that must not run: each is refused with the line that says why, and what is merely odd is not.
import t from 'tap';
import { ConfigRejected } from '../../agent/core/parse/config-rejected.js';
import { parseHaproxyConfig, type HaproxyOptions } from '../../agent/core/parse/haproxy-cfg.js';

const base = [
  '# Configuration for loadbalancer lb1', // 1
  'global', // 2
  '    stats socket /var/lib/octavia/lb1.sock mode 0666 level user', // 3
  'defaults', // 4
  '    log global', // 5
  'frontend l1', // 6
  '    bind 10.0.0.1:80', // 7
  '    mode tcp', // 8
  '    default_backend p1:l1', // 9
  'backend p1:l1', // 10
  '    mode tcp', // 11
  '    balance roundrobin', // 12
  '    server m1 10.1.0.1:80 weight 1', // 13
];

/** The base with lines put in after one of its own. */
const withLines = (after: number, ...lines: string[]): string =>
  [...base.slice(0, after), ...lines, ...base.slice(after), ''].join('\n');

const rejection = (text: string, options?: HaproxyOptions): ConfigRejected | null => {
  try {
    parseHaproxyConfig(text, options);
    return null;
  } catch (error) {
    if (error instanceof ConfigRejected) return error;
    throw error;
  }
};

const inGlobal = 3;
const inDefaults = 5;
const inFrontend = 8;
const inBackend = 12;
const atEnd = 13;

const refused: readonly (readonly [string, number, string | string[], RegExp])[] = [
  ['a second global section', atEnd, 'global', /second global/],
  ['an indented second global section', atEnd, '    global', /second global/],
  ['a program', atEnd, ['program x', '    command /bin/sh'], /section "program"/],
  ['an indented program', atEnd, '    program x', /section "program"/],
  ['a ring', atEnd, 'ring r', /section "ring"/],
  ['a log forwarder', atEnd, 'log-forward x', /section "log-forward"/],
  ['an unknown section', atEnd, 'evil x', /unknown section "evil"/],
  ['a conditional block', inGlobal, '    .if defined(HOME)', /conditional/],
  ['Lua at start', inGlobal, '    lua-load /var/lib/octavia/x.lua', /Lua/],
  ['Lua per thread', inGlobal, '    lua-load-per-thread x.lua', /Lua/],
  ['the path of Lua', inGlobal, '    lua-prepend-path x', /Lua/],
  ['a Lua action', inFrontend, '    http-request lua.evil', /Lua/],
  ['a Lua action on content', inFrontend, '    tcp-request content lua.evil', /Lua/],
  ['a Lua fetch', inFrontend, '    acl a lua.evil -m found', /Lua/],
  ['a Lua converter', inFrontend, '    http-request set-header X %[src,lua.evil]', /Lua/],
  ['a Lua service', inFrontend, '    http-request use-service lua.evil', /service|Lua/],
  ['a program as check', inBackend, '    external-check command /bin/sh', /external-check/],
  ['a path for checks', inBackend, '    external-check path /tmp', /external-check/],
  ['a check with arguments', inBackend, '    external-check command a b', /external-check/],
  ['an environment', inGlobal, '    setenv LD_PRELOAD x.so', /"setenv"/],
  ['a root', inGlobal, '    chroot /var/lib/octavia', /"chroot"/],
  ['root as user', inGlobal, '    user root', /root/],
  ['a user id', inGlobal, '    uid 0', /"uid"/],
  ['a filter with a config of its own', inFrontend, '    filter spoe config x', /filter/],
  ['a stats socket elsewhere', inGlobal, '    stats socket /tmp/x.sock', /stats socket/],
  ['a stats socket on the network', inGlobal, '    stats socket 0.0.0.0:99', /stats socket/],
  ['a state file elsewhere', inGlobal, '    server-state-file /etc/passwd', /file outside/],
  ['a climbing path', inGlobal, '    server-state-file /var/lib/octavia/../x', /file outside/],
  ['a look-alike folder', inGlobal, '    server-state-file /var/lib/octavia2/x', /file outside/],
  ['a log socket elsewhere', inGlobal, '    log /tmp/log local0', /file outside/],
  ['an escaped path', inGlobal, '    server-state-file \\x2fetc/passwd', /file outside/],
  ['a quoted path', inGlobal, '    server-state-file "/etc/passwd"', /file outside/],
  ['a certificate elsewhere', inFrontend, '    bind 10.0.0.1:81 ssl crt /etc/x', /file outside/],
  ['a relative certificate', inFrontend, '    bind 10.0.0.1:81 ssl crt x.pem', /file outside/],
  ['a bind to a unix socket', inFrontend, '    bind /tmp/x', /file outside/],
  ['a bind to an abstract socket', inFrontend, '    bind abns@x', /file outside/],
  ['a bind to a descriptor', inFrontend, '    bind fd@3', /file outside/],
  ['a server on a unix socket', inBackend, '    server x unix@/tmp/x', /file outside/],
  [
    'a file as answer',
    inFrontend,
    '    http-request return status 200 file /etc/shadow',
    /outside/,
  ],
  ['a relative file as answer', inFrontend, '    http-request return lf-file etc/x', /outside/],
  ['a page of errors', inFrontend, '    errorfile 503 /etc/shadow', /file outside/],
  ['a relative page of errors', inFrontend, '    errorfile 503 etc/shadow', /file outside/],
  ['patterns from a file', inFrontend, '    acl a path -m str -f /etc/shadow', /file outside/],
  ['patterns in a condition', inFrontend, '    redirect prefix / if { src -f /x }', /file outside/],
  ['a map', inFrontend, '    use_backend %[src,map_ip(/etc/x)]', /file outside/],
  ['a quoted map', inFrontend, '    use_backend \'%[src,map("/etc/x")]\'', /file outside/],
  ['a map that is set', inFrontend, '    http-request set-map(/tmp/x) a b', /file outside/],
  ['a key', inFrontend, '    acl a req.hdr(x),jwt_verify(alg,/etc/x) 1', /file outside/],
  ['a control character', inFrontend, '    maxconn 1\u0007', /control character 0x07/],
  ['a carriage return', inFrontend, '    maxconn 1\r    lua-load x', /control character 0x0d/],
  ['an escaped NUL', inFrontend, '    log-format a\\x00b', /x00/],
  ['an environment variable', inFrontend, '    log-format "${HOME}"', /environment variable/],
  ['an open quote', inFrontend, '    log-format "a', /quote/],
  ['a backslash at the end', inFrontend, '    log-format a\\', /backslash/],
  ['half an escape', inFrontend, '    log-format \\x4', /hex digits/],
  ['a second frontend of a name', atEnd, 'frontend l1', /second frontend l1/],
  ['a listen of a frontend name', atEnd, 'listen l1', /second frontend l1/],
  ['a second backend of a name', atEnd, 'backend p1:l1', /second backend p1:l1/],
  ['a frontend without a name', atEnd, 'frontend', /without a name/],
  ['a name with a slash', atEnd, 'frontend ../x', /frontend name/],
  ['an address twice', inFrontend, '    bind 10.0.0.1:80', /bound twice/],
  ['port 0', inFrontend, '    bind 10.0.0.2:0', /port of bind/],
  ['a port too high', inFrontend, '    bind 10.0.0.2:65536', /port of bind/],
  ['a bind without a port', inFrontend, '    bind 10.0.0.2', /without a port/],
  ['a bind without anything', inFrontend, '    bind', /without an address/],
  ['a limit that is no number', inFrontend, '    maxconn -5', /maxconn/],
  ['a timeout that is no time', inFrontend, '    timeout client soon', /timeout client/],
  ['a timeout beyond counting', inFrontend, '    timeout client 99999d', /timeout client/],
  ['a default timeout without time', inDefaults, '    timeout connect', /timeout connect/],
  ['a weight too high', inBackend, '    server x 10.1.0.2:80 weight 257', /weight of server x/],
  ['a weight below 0', inBackend, '    server x 10.1.0.2:80 weight -1', /weight of server x/],
  ['a weight that is missing', inBackend, '    server x 10.1.0.2:80 weight', /weight of server x/],
  ['a server port too high', inBackend, '    server x 10.1.0.2:70000', /port of server x/],
  ['a server without a port', inBackend, '    server x 10.1.0.2', /no address and port/],
  ['a server without an address', inBackend, '    server x', /no address and port/],
  ['a check address that is none', inBackend, '    server x 10.1.0.2:80 check addr y', /addr/],
  ['a check port too high', inBackend, '    server x 10.1.0.2:80 check port 0', /port of server x/],
  ['no fall', inBackend, '    server x 10.1.0.2:80 check fall 0', /fall of server x/],
  ['a fullconn that is no number', inBackend, '    fullconn x', /fullconn/],
];

for (const [what, after, lines, reason] of refused) {
  t.test(`refuses ${what}`, async (t) => {
    const added = typeof lines === 'string' ? [lines] : lines;
    const error = rejection(withLines(after, ...added));
    t.ok(error, 'is refused');
    t.equal(error?.line, after + 1);
    t.match(error?.reason, reason);
    t.match(error?.message, new RegExp(`^line ${after + 1}: `));
    t.equal(error?.inFile('a.cfg').message, `a.cfg:${after + 1}: ${error?.reason ?? ''}`);
  });
}

t.test('refuses a server twice at its second line', async (t) => {
  t.match(rejection(withLines(atEnd, '    server m1 10.1.0.9:80')), { line: 14, reason: /second/ });
});

t.test('refuses a directive before any section', async (t) => {
  t.match(rejection('\n    daemon\n'), { line: 2, reason: /before any section/ });
});

t.test('refuses what is too much', async (t) => {
  const limits = {
    characters: 1000,
    lineCharacters: 100,
    listeners: 2,
    poolMembers: 2,
    members: 3,
  };
  const refuse = (text: string) => rejection(text, { limits });
  const servers = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `    server s${from + i} 10.2.0.1:${from + i + 1}`);
  t.equal(refuse(withLines(atEnd)), null);
  t.match(refuse(' '.repeat(1001)), { line: 1, reason: /1000 characters/ });
  t.match(refuse(`\n${' '.repeat(101)}`), { line: 2, reason: /100 characters in a line/ });
  t.match(refuse(withLines(atEnd, 'frontend a', 'frontend b')), {
    line: 15,
    reason: /2 listeners/,
  });
  t.match(refuse(withLines(atEnd, ...servers(0, 2))), { line: 10, reason: /2 members in a pool/ });
  const pools = ['backend a', ...servers(0, 2), 'backend b', ...servers(0, 1)];
  t.match(refuse(withLines(atEnd, ...pools)), { line: 17, reason: /3 members/ });
});

/** Legal, and none of our business: the config is read, and its listener stays with HAProxy. */
const odd: readonly (readonly [string, number, string, string])[] = [
  [
    'an unknown directive',
    inFrontend,
    '    capture request header Host len 32',
    'unknown-directive',
  ],
  ['an unknown default', inDefaults, '    option dontlognull', 'unknown-directive'],
  ['a tunnel timeout', inBackend, '    timeout tunnel 1h', 'unknown-directive'],
  ['an unknown algorithm', inBackend, '    balance random(2)', 'unknown-directive'],
  ['an algorithm named like a property', inBackend, '    balance constructor', 'unknown-directive'],
  ['a wildcard bind', inFrontend, '    bind *:81', 'bind-address'],
  ['an unspecified bind', inFrontend, '    bind 0.0.0.0:81', 'bind-address'],
  ['a range of ports', inFrontend, '    bind 10.0.0.2:81-89', 'bind-address'],
  ['a bind option', inFrontend, '    bind 10.0.0.2:81 accept-proxy', 'unknown-bind-option'],
  ['TLS in tcp mode', inFrontend, '    bind 10.0.0.2:81 ssl', 'tls-bind'],
  ['a rule of content', inFrontend, '    use_backend p1:l1 if { src 10.0.0.9 }', 'l7-rules'],
  ['HTTP mode', inFrontend, '    mode http', 'http-mode'],
  ['an HTTP pool', inBackend, '    mode http', 'http-pool'],
  ['a server by name', inBackend, '    server x example.com:80', 'member-address'],
  ['a server option', inBackend, '    server x 10.1.0.2:80 maxconn 5', 'unknown-server-option'],
  ['a PROXY server', inBackend, '    server x 10.1.0.2:80 send-proxy-v2', 'proxy-protocol'],
  ['a TLS server', inBackend, '    server x 10.1.0.2:80 ssl verify none', 'server-tls'],
  ['a server of the other family', inBackend, '    server x 2001:db8::1:80', 'family-mix'],
  ['a server on this machine', inBackend, '    server x 127.0.0.1:80', 'member-local'],
  [
    'a check by ALPN of a PROXY server',
    inBackend,
    '    server x 10.1.0.2:80 check check-alpn h2 send-proxy',
    'proxy-protocol',
  ],
  ['a server at the VIP', inBackend, '    server x 10.0.0.1:81', 'member-local'],
  ['a stick rule of its own', inBackend, '    stick on hdr(x)', 'unknown-directive'],
];

for (const [what, after, line, code] of odd) {
  t.test(`leaves the listener with HAProxy for ${what}`, async (t) => {
    const [listener] = parseHaproxyConfig(withLines(after, line)).listeners;
    t.equal(listener?.engine, 'haproxy');
    t.ok(listener?.reasons.some((reason) => reason.code === code));
    t.strictSame(
      new Set(listener?.reasons.map((reason) => reason.code)).size,
      listener?.reasons.length,
    );
  });
}

t.test('backup members one at a time are HAProxy’s business', async (t) => {
  const backups = ['x', 'y'].map((id, i) => `    server ${id} 10.1.0.${i + 2}:80 backup`);
  const engine = (...lines: string[]) =>
    parseHaproxyConfig(withLines(inBackend, ...lines)).listeners[0]?.engine;
  t.equal(engine(...backups), 'haproxy');
  t.equal(engine(...backups, '    option allbackups'), 'datapath');
  t.equal(engine(...backups.slice(1)), 'datapath', 'a single one needs no option');
});

t.test('a limit of 0 is none of the listener’s own', async (t) => {
  const [listener] = parseHaproxyConfig(withLines(inFrontend, '    maxconn 0')).listeners;
  t.equal(listener?.connectionLimit, null);
});

t.test('a default backend that is not there is HAProxy’s to complain of', async (t) => {
  const [listener] = parseHaproxyConfig(base.slice(0, 9).join('\n')).listeners;
  t.match(listener, { engine: 'haproxy', defaultPool: null, reasons: [{ code: 'no-backend' }] });
});

t.test('a frontend without an address is HAProxy’s to complain of', async (t) => {
  const [listener] = parseHaproxyConfig('frontend l1\n    mode tcp\n').listeners;
  t.match(listener, { engine: 'haproxy', reasons: [{ code: 'no-bind' }] });
});

/** Values that look like danger and are none. */
const harmless: readonly (readonly [string, number, string])[] = [
  ['a rule on a path', inFrontend, '    acl a path -m beg /etc/passwd'],
  ['a rule with a file for value', inFrontend, '    acl a path -m str file'],
  ['a rule on a Lua site', inFrontend, '    acl a req.hdr(host) -i -m str lua.org'],
  ['a rule with a function for value', inFrontend, '    acl a path -m reg map(x)'],
  ['a redirect', inFrontend, '    redirect code 302 location https://x/map(/y) if a'],
  ['a checked path', inBackend, '    option httpchk GET /health HTTP/1.0\\r\\n'],
  ['the log socket of the amphora', inGlobal, '    log /run/rsyslog/octavia/log local0'],
  ['a state file', inGlobal, '    server-state-file /var/lib/octavia/lb1/servers-state'],
  ['the ping wrapper', inBackend, '    external-check command /var/lib/octavia/ping-wrapper.sh'],
  ['the CAs of the system', inBackend, '    server x 10.1.0.2:80 ssl ca-file @system-ca'],
  ['the exporter', inFrontend, '    http-request use-service prometheus-exporter if { path /m }'],
  ['a page of statistics', atEnd, 'listen stats'],
  ['a user list', atEnd, 'userlist u'],
  ['a cookie with a dollar', inFrontend, "    log-format '${x}'"],
];

for (const [what, after, line] of harmless) {
  t.test(`accepts ${what}`, async (t) => {
    t.equal(rejection(withLines(after, line)), null);
  });
}
