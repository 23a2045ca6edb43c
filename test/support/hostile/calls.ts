// SPDX-License-Identifier: Apache-2.0
// JSON bodies, paths and raw HTTP that no controller would send.
import { AMPHORA_ID } from '../tls.js';
import { PORTS } from '../topology.js';
import type { Random } from './random.js';
import { type Input, requestBytes } from './request.js';
import { VICTIMS } from './uploads.js';

/** Each of them where another type is wanted, or text that is not what the field holds. */
const VALUES = [
  ...['null', 'true', '[]', '{}', '""', '0', '-1', '1e308', '99999999999999999999', '1.5', '[[]]'],
  ...['"$(touch /var/tmp/HOSTILE)"', '"; reboot"', '"eth1 down"', '"\\u0000"', '"\\ud800"'],
  ...['"10.0.0.1"', '"10.0.0.0/24"', '"10.0.0.1/33"', '"::/0"', '"0.0.0.0/0"', '"fe80::1%eth0"'],
  ...['"../../etc"', '{"__proto__":{"x":1}}', '{"toString":1}', '[null]', '[[[[1]]]]', '"A"'],
];

const MAC = '"fa:16:3e:00:00:99"'; // nobody's
const SUBNET = { subnet_cidr: '"10.0.0.0/24"', gateway: '"10.0.0.1"' };
const ROUTE = '{"destination":"10.9.0.0/24","nexthop":"10.0.0.1"}';

export const plugVip = (random: Random): Input => {
  const vip = random.pick(['10.0.0.10', '10.0.0.300', 'x', '::', '%00', '10.0.0.10%2f24', '1']);
  const fields = {
    ...SUBNET,
    mac_address: MAC,
    vrrp_ip: '"10.0.0.20"',
    mtu: '1450',
    host_routes: `[${ROUTE}]`,
    additional_vips: `[${objectText({ ip_address: '"10.0.0.11"', ...SUBNET }, random)}]`,
    is_sriov: 'false',
  };
  return json(random, 'plug VIP', {
    method: 'POST',
    path: `/1.0/plug/vip/${vip}`,
    body: objectText(fields, random),
    allowed: [400, 404, 409],
  });
};

export const plugNetwork = (random: Random): Input => {
  const fixed = objectText(
    { ip_address: '"10.1.0.5"', ...SUBNET, host_routes: `[${ROUTE}]` },
    random,
  );
  const fields = {
    // The loopback's, and everybody's: no port of a Neutron network has either.
    mac_address: random.pick([MAC, '"00:00:00:00:00:00"', '"ff:ff:ff:ff:ff:ff"']),
    fixed_ips: `[${fixed}]`,
    mtu: '1450',
    vip_net_info: random.chance(0.5) ? 'null' : `{"vip":"10.0.0.10",${SUBNET_TEXT}}`,
    is_sriov: 'null',
  };
  return json(random, 'plug network', {
    method: 'POST',
    path: '/1.0/plug/network',
    body: objectText(fields, random),
    allowed: [400, 404, 409],
  });
};

/** An empty or whole list is a good one. */
export const rules = (random: Random): Input => {
  const rule = () => objectText({ protocol: '"TCP"', cidr: 'null', port: '80' }, random);
  const body = random.pick([
    `[${rule()}]`,
    `[${rule()},${rule()}]`,
    `{"rules":[${rule()}]}`,
    rule(),
  ]);
  const ip = random.pick([PORTS.vip.v4, PORTS.vip.v4, '10.0.0.299', 'x', '10.200.0.1', '%3a%3a1']);
  return json(random, 'rules', {
    method: 'PUT',
    path: `/1.0/interface/${ip}/rules`,
    body,
    allowed: [200, 400, 404],
  });
};

const SUBNET_TEXT = Object.entries(SUBNET)
  .map(([name, value]) => `"${name}":${value}`)
  .join(',');

/** An object with one or two fields wrong, gone, or there twice. */
const objectText = (fields: Readonly<Record<string, string>>, random: Random): string => {
  const entries = Object.entries(fields);
  for (let step = 1 + random.below(2); step > 0; step -= 1) {
    const at = random.below(entries.length);
    const [name = ''] = entries[at] ?? [];
    const wrong = [name, random.pick(VALUES)] as [string, string];
    const how = random.below(4);
    if (how === 0) entries.splice(at, 1);
    else if (how === 1) entries.push(wrong);
    else entries[at] = wrong;
  }
  if (random.chance(0.1)) entries.push(['__proto__', '{"mac_address":"fa:16:3e:00:00:10"}']);
  return `{${entries.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
};

const TYPES = [
  ...['application/json', 'application/json', 'application/json', 'application/json'],
  ...['text/plain', 'application/json; charset=utf-16', ';;;', 'multipart/form-data', ''],
  ...['application/x-www-form-urlencoded', 'application/jsonp', '*/*', 'A'.repeat(2000)],
];

interface JsonCall {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly allowed: readonly number[];
}

const json = (random: Random, kind: string, { method, path, body, allowed }: JsonCall): Input => {
  const headers = [`Content-Type: ${random.pick(TYPES)}`];
  const content = damageJson(Buffer.from(body), random);
  const bytes = requestBytes({ method, path, body: content, headers });
  return { kind, bytes, allowed, mustAnswer: true };
};

const damageJson = (body: Buffer, random: Random): Buffer => {
  switch (random.below(12)) {
    case 0:
      return body.subarray(0, random.below(body.length));
    case 1: // invalid UTF-8
      body[random.below(body.length)] = 0x80 + random.below(128);
      return body;
    case 2: {
      const depth = 1 + random.below(200_000);
      return Buffer.from('['.repeat(depth) + (random.chance(0.5) ? ']'.repeat(depth) : ''));
    }
    case 3:
      return Buffer.from(`{"mac_address":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_001)}`);
    case 4:
      return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(body.toString(), 'utf16le')]);
    case 5:
      return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), body]);
    default:
      return body;
  }
};

const PARTS = [
  ...[
    '..',
    '.',
    '%2e%2e',
    '%2e%2e%2f%2e%2e%2fetc',
    '..%2f..%2fetc%2fpasswd',
    '%00',
    '%0a',
    '%0d%0a',
  ],
  ...['%', '%zz', '%c0%ae%c0%ae', '%ff', '\u00e9', '%e2%80%ae', '', '%20', '*', '~', '@', ';', "'"],
  ...['lvs', 'vrrp', 'certs', 'amphora-xdp', 'plugged_interfaces', 'stats_counters.json', 'upload'],
  ...['haproxy-default-user-group.conf', 'ping-wrapper.sh', 'octavia-keepalived', 'x.tmp', '-c'],
  ...['a'.repeat(129), 'a'.repeat(255), 'a'.repeat(256), 'a'.repeat(3000), 'a'.repeat(5000)],
  ...['$(touch%20HOSTILE)', '`reboot`', '%24%28reboot%29', '..;', '.%00.', '__proto__', 'start'],
  ...[VICTIMS.loadBalancer, VICTIMS.listener, 'x.pem', 'abc.pem', '..%2fabc.pem', 'abc.pem%00'],
  ...['haproxy', 'udp_listener', 'certificates', 'reload', 'RELOAD', 'stop', 'rel%6fad'],
];

const ROUTES = [
  ['GET', '/1.0/interface/*'],
  ['PUT', '/1.0/interface/*/rules'],
  ['POST', '/1.0/plug/vip/*'],
  ['PUT', '/1.0/loadbalancer/*/*/haproxy'],
  ['GET', '/1.0/loadbalancer/*/haproxy'],
  ['PUT', '/1.0/loadbalancer/*/*'],
  ['PUT', `/1.0/loadbalancer/${VICTIMS.loadBalancer}/*`],
  ['PUT', '/1.0/listeners/*/*/udp_listener'],
  ['GET', '/1.0/listeners/*/udp_listener'],
  ['DELETE', '/1.0/listeners/*'],
  ['PUT', '/1.0/loadbalancer/*/certificates/*'],
  ['GET', '/1.0/loadbalancer/*/certificates/*'],
  ['DELETE', '/1.0/loadbalancer/*/certificates/*'],
  ['PUT', '/1.0/vrrp/*'],
  ['GET', '/*'],
  ['GET', '//*'],
  ['GET', '/1.0/*/*'],
  ['POST', '/*/*'],
] as const;

/** Path parameters, on every route that has some; the body is a good one, so only the path can be wrong. */
export const path = (random: Random, goodBody: (route: string) => string): Input => {
  const [method, route] = random.pick(ROUTES);
  const target = route
    .replace(/\*/g, () => random.pick(PARTS))
    .concat(
      random.chance(0.1) ? random.pick(['?', '?a=b', '?%', '#x', '?a[]=1&a=2', '/', '//']) : '',
    );
  const verb = random.chance(0.1) ? random.pick(METHODS) : method;
  const bytes = requestBytes({ method: verb, path: target, body: goodBody(route) });
  return { kind: 'path', bytes, allowed: ANY, mustAnswer: false };
};

/** Without CONNECT, where hanging up is the answer. */
const METHODS = [
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'TRACE',
  'PROPFIND',
  'POST',
  'DELETE',
  'PURGE',
] as const;
const ANY = [200, 202, 308, 400, 404, 405];

const TARGETS = [
  ...[
    '/',
    '//',
    '//[',
    '///',
    '/1.0/info',
    '/1.0/info/',
    '/1.0//info',
    'http://[',
    'http://x/1.0/info',
  ],
  ...[
    '*',
    '/1.0/listeners',
    '/1.0/nothing',
    '/\u00e9',
    `/${'x'.repeat(20_000)}`,
    '/\\..\\',
    'x',
    '',
  ],
];

const HEADERS = [
  ...['Expect: 100-continue', 'Expect: nonsense', 'Upgrade: h2c\r\nConnection: Upgrade', ''],
  ...['Content-Length: 5\r\nContent-Length: 6', 'Content-Length: -1', 'Content-Length: 1e3'],
  ...[
    'Content-Length: 99999999999999999999',
    'Content-Length: 999999999999',
    'Content-Length: 0x10',
  ],
  ...[
    'Transfer-Encoding: chunked\r\nContent-Length: 5',
    'Transfer-Encoding: gzip',
    'Transfer-Encoding: x',
  ],
  ...[`X: ${'y'.repeat(20_000)}`, Array.from({ length: 3000 }, (_, i) => `x${i}: y`).join('\r\n')],
  ...[
    'X: a\r\n b',
    'X : a',
    ': a',
    'X',
    'Host: a\r\nHost: b',
    'X: \0',
    'X: \u00ff',
    '\r',
    'Connection: close, TE',
  ],
  ...[
    'Content-Encoding: gzip',
    'Accept: nothing/at-all',
    'Range: bytes=0-',
    'If-None-Match: *',
    'TE: trailers',
  ],
];

const CHUNKS = [
  ...[
    'zz\r\nabc\r\n0\r\n\r\n',
    '5\r\nabc',
    'ffffffffffffffffff\r\nx',
    '-1\r\nx\r\n',
    '0\r\n\r\n',
    '3\nabc\n0\n\n',
  ],
  ...['3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n', `3;${'x'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`, ''],
];

/** Bytes that are hardly HTTP. */
export const rawHttp = (random: Random): Input => {
  const method = random.chance(0.2) ? random.pick([...METHODS, 'CONNECT', 'FOO', '']) : 'GET';
  const line = `${method} ${random.pick(TARGETS)} HTTP/${random.pick(['1.1', '1.1', '1.0', '0.9', '2.0', '9'])}`;
  const host = random.chance(0.9) ? 'Host: x\r\n' : '';
  const texts = [
    () => `${line}\r\n${host}${random.pick(HEADERS)}\r\n\r\n`,
    () => `${line}\r\n${host}${random.pick(HEADERS)}\r\n${random.pick(HEADERS)}\r\n\r\nbody`,
    () =>
      `PUT /1.0/vrrp/upload HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n${random.pick(CHUNKS)}`,
    () => `PUT /1.0/config HTTP/1.1\r\n${host}${random.pick(HEADERS)}\r\n\r\n`,
    () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    () => `GET /1.0/info HTTP/1.1\r\n${host}\r\n`.repeat(1 + random.below(30)),
    () => `${line}\n${host}\n`,
    () => random.bytes(1 + random.below(300)).toString('latin1'),
    () => `${line}\r\n${host}`, // and no end
  ] as const;
  const text = random.pick(texts)();
  return { kind: 'raw HTTP', bytes: Buffer.from(text, 'latin1'), allowed: ANY, mustAnswer: false };
};

export const amphoraPath = (kind: 'haproxy' | 'lvs'): string =>
  kind === 'haproxy'
    ? `/1.0/loadbalancer/${AMPHORA_ID}/${VICTIMS.loadBalancer}/haproxy`
    : `/1.0/listeners/${AMPHORA_ID}/${VICTIMS.listener}/udp_listener`;
