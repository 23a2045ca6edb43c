// SPDX-License-Identifier: Apache-2.0
// What nobody should send. Whatever happens, the status is one that the controller takes for a failure.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Bed, fixture, startBed, upload } from './recorders.js';

const LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const UPLOAD = `/1.0/loadbalancer/amphora/${LB}/haproxy`;
const LVS = `/1.0/listeners/amphora/${LB}/udp_listener`;
const JSON_HEADERS = { 'content-type': 'application/json' };
const FAILURES = [400, 401, 403, 404, 405, 409, 500, 503];

const SUBNET = {
  error: '400 Bad Request: Invalid subnet information',
  http_code: 400,
};
const PORT = { error: '400 Bad Request: Invalid port information', http_code: 400 };
const RULES = { error: '400 Bad Request: Invalid rules information', http_code: 400 };
const VIP = { subnet_cidr: '10.0.0.0/24', gateway: null, mac_address: 'fa:16:3e:00:00:01' };
const notAddress = (text: string) => `'${text}' does not appear to be an IPv4 or IPv6 address`;

interface Case {
  readonly name: string;
  readonly method: 'POST' | 'PUT' | 'GET' | 'DELETE';
  readonly url: string;
  readonly payload?: unknown;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly body: unknown;
}

const plug = (name: string, vip: string, payload: unknown, body: unknown): Case => ({
  name,
  method: 'POST',
  url: `/1.0/plug/vip/${vip}`,
  payload,
  headers: JSON_HEADERS,
  status: 400,
  body,
});

const rule = (name: string, payload: unknown): Case => ({
  name: `rules: ${name}`,
  method: 'PUT',
  url: '/1.0/interface/10.0.0.10/rules',
  payload,
  headers: JSON_HEADERS,
  status: 400,
  body: RULES,
});

const cases: readonly Case[] = [
  plug('no JSON', '10.0.0.10', '{', SUBNET),
  plug('a list', '10.0.0.10', '[]', SUBNET),
  plug('no gateway key', '10.0.0.10', { ...VIP, gateway: undefined }, SUBNET),
  plug('no subnet', '10.0.0.10', { gateway: null, mac_address: VIP.mac_address }, SUBNET),
  plug('a MAC that is none', '10.0.0.10', { ...VIP, mac_address: '; reboot' }, SUBNET),
  plug('a VIP that is none', 'foo', VIP, { message: `Invalid VIP: ${notAddress('foo')}` }),
  plug(
    'host bits',
    '10.0.0.10',
    { ...VIP, subnet_cidr: '10.0.0.1/24' },
    { message: 'Invalid VIP: 10.0.0.1/24 has host bits set' },
  ),
  plug(
    'host bits of IPv6',
    '2001:db8::1',
    { ...VIP, subnet_cidr: '2001:db8::/28' },
    { message: 'Invalid VIP: 2001:db8::/28 has host bits set' },
  ),
  plug(
    'an additional VIP that is none',
    '10.0.0.10',
    { ...VIP, additional_vips: [{ ip_address: 'x', subnet_cidr: '10.0.0.0/24' }] },
    { message: `Invalid VIP: ${notAddress('x')}` },
  ),
  plug(
    'a VRRP address that is none',
    '10.0.0.10',
    { ...VIP, vrrp_ip: '10.0.0.300' },
    { message: `Invalid VRRP Address: ${notAddress('10.0.0.300')}` },
  ),
  { ...plug('no content type', '10.0.0.10', JSON.stringify(VIP), SUBNET), headers: {} },
  {
    ...plug('a broken content type', '10.0.0.10', 'x', SUBNET),
    headers: { 'content-type': ';;;' },
  },
  {
    name: 'a port without a MAC',
    method: 'POST',
    url: '/1.0/plug/network',
    payload: {},
    headers: JSON_HEADERS,
    status: 400,
    body: PORT,
  },
  {
    name: 'a fixed IP that is none',
    method: 'POST',
    url: '/1.0/plug/network',
    payload: {
      mac_address: VIP.mac_address,
      fixed_ips: [{ ip_address: '1.2.3', subnet_cidr: '10.0.0.0/24' }],
    },
    headers: JSON_HEADERS,
    status: 400,
    body: { message: 'Invalid network port' },
  },
  {
    name: 'an address that is none',
    method: 'GET',
    url: '/1.0/interface/eth1',
    status: 400,
    body: { message: 'Invalid IP address' },
  },
  {
    name: 'an address that nobody has',
    method: 'GET',
    url: '/1.0/interface/2001:db8::5',
    status: 404,
    body: { message: 'Error interface not found for IP address' },
  },
  {
    name: 'rules: the address is judged first',
    method: 'PUT',
    url: '/1.0/interface/10.9.9.9/rules',
    payload: 'nonsense',
    headers: JSON_HEADERS,
    status: 404,
    body: { message: 'Error interface not found for IP address' },
  },
  rule('an object', {}),
  rule('no port', [{ protocol: 'TCP', cidr: null }]),
  rule('one key too many', [{ protocol: 'TCP', cidr: null, port: 1, x: 1 }]),
  rule('port 0', [{ protocol: 'TCP', cidr: null, port: 0 }]),
  rule('another protocol', [{ protocol: 'ICMP', cidr: null, port: 1 }]),
  rule('a source that is none', [{ protocol: 'TCP', cidr: '0.0.0.0/0; drop', port: 1 }]),
  ...['x.txt', 'pem'].map((file) => ({
    name: `certificate file ${file}`,
    method: 'PUT' as const,
    url: `/1.0/loadbalancer/${LB}/certificates/${file}`,
    payload: 'x',
    status: 400,
    body: { message: 'Filename has wrong format' },
  })),
  // An encoded slash divides segments, so these are paths that no operation has.
  ...[
    `PUT /1.0/loadbalancer/${LB}/certificates/..`,
    `PUT /1.0/loadbalancer/${LB}/certificates/%2e%2e%2fx.pem`,
    'PUT /1.0/loadbalancer/..%2f..%2fx/certificates/abc.pem',
    'PUT /1.0/loadbalancer/amphora/..%2f..%2fetc/haproxy',
    'DELETE /1.0/listeners/..%2f..%2fetc',
  ].map((line) => ({
    name: line,
    method: line.startsWith('PUT') ? ('PUT' as const) : ('DELETE' as const),
    url: line.slice(line.indexOf(' ') + 1),
    ...(line.startsWith('PUT') ? { payload: 'x' } : {}),
    status: 404,
    body: { http_code: 404, error: String },
  })),
];

/** Names of other things below base_path, and what cannot name a file or a unit. */
const notIds = [
  ...['lvs', 'vrrp', 'certs', 'amphora-xdp', 'plugged_interfaces', 'stats_counters.json', 'x.new'],
  ...['ping-wrapper.sh', '-c', 'a:b', 'a'.repeat(129), 'a'.repeat(255), '%00', '%0a', '%ff'],
];

t.test('ids that are no ids', async (t) => {
  const bed = await startBed(t.testdir());
  const lib = join(bed.directory, 'lib');
  const good = upload(bed.directory, 'a01-tcp/haproxy-08d76b82-11.0.0.cfg');
  await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: good });
  await bed.app.inject({ method: 'PUT', url: LVS.replace(LB, 'x.y'), payload: 'makes lvs/check' });
  const before = readdirSync(lib, { recursive: true }).sort();
  for (const id of notIds) {
    for (const [method, url, statuses] of [
      ['PUT', `/1.0/loadbalancer/amphora/${id}/haproxy`, [400]],
      ['PUT', `/1.0/listeners/amphora/${id}/udp_listener`, [400]],
      ['PUT', `/1.0/loadbalancer/${id}/reload`, [404, 400]],
      ['GET', `/1.0/loadbalancer/${id}/haproxy`, [404, 400]],
      ['GET', `/1.0/listeners/${id}/udp_listener`, [404, 400]],
      ['DELETE', `/1.0/listeners/${id}`, [200, 400]],
    ] as const) {
      const { statusCode, headers } = await bed.app.inject({ method, url, payload: good });
      t.ok((statuses as readonly number[]).includes(statusCode), `${method} ${url}: ${statusCode}`);
      t.equal(headers['content-type'], 'application/json', url);
    }
  }
  t.strictSame(
    readdirSync(lib, { recursive: true }).sort(),
    before,
    'nothing came and nothing went',
  );
});

t.test('LVS configs of a load balancer that cannot be one', async (t) => {
  const bed = await startBed(t.testdir());
  const good = upload(bed.directory, 'a36-udp/lvs-8d1eafa7-11.0.0.conf');
  for (const id of ['lvs', 'amphora-xdp', '..']) {
    const payload = good.replace(/(Configuration for Loadbalancer) \S+/, `$1 ${id}`);
    const { statusCode, body } = await bed.app.inject({ method: 'PUT', url: LVS, payload });
    t.equal(statusCode, 400, id);
    t.match(JSON.parse(body), { details: /not the id of a load balancer/ }, id);
  }
});

t.test('targets that no URL parser takes', async (t) => {
  const bed = await startBed(t.testdir());
  const long = 'a'.repeat(12_000);
  for (const url of [
    `/1.0/interface/${long}`,
    `/1.0/loadbalancer/${long}/haproxy`,
    '//[',
    '/1.0/%',
    '/1.0/%zz/',
    '/[/]',
    '/1.0/loadbalancer/%c0%ae/haproxy',
  ]) {
    const { statusCode, headers } = await bed.app.inject({ method: 'GET', url });
    t.ok([400, 404].includes(statusCode), `${url}: ${statusCode}`);
    t.equal(headers['content-type'], 'application/json', url);
  }
});

t.test("an own certificate that cannot serve does not take the good one's place", async (t) => {
  const bed = await startBed(t.testdir());
  const file = join(bed.directory, 'pair/server.pem');
  const good = readFileSync(file, 'utf8');
  const other = readFileSync(fixture('pki/other_ca.key.pem'), 'utf8');
  const [certificate = '', key = ''] = good.match(/-----BEGIN[\s\S]*?-----END.*\n?/g) ?? [];
  for (const [name, payload] of [
    ['nothing', ''],
    ['no PEM', 'nonsense'],
    ['no key', certificate],
    ['no certificate', key],
    ["another's key", certificate + other],
    ['cut short', good.slice(0, -200)],
    ['a NUL in it', `${good.slice(0, 100)}\0${good.slice(100)}`],
    ['no end of a chain', good.repeat(50)],
  ] as const) {
    const put = await bed.app.inject({ method: 'PUT', url: '/1.0/certificate', payload });
    t.equal(put.statusCode, 400, name);
    t.match(put.json(), { message: 'Invalid certificate', details: /./ }, name);
    t.equal(readFileSync(file, 'utf8'), good, name);
  }
});

const inject = ({ app }: Bed, { method, url, payload, headers = {} }: Case) =>
  app.inject({
    method,
    url,
    headers,
    ...(payload === undefined
      ? {}
      : { payload: typeof payload === 'string' ? payload : JSON.stringify(payload) }),
  });

t.test('bodies and paths', async (t) => {
  const bed = await startBed(t.testdir());
  for (const one of cases) {
    const answer = await inject(bed, one);
    t.equal(answer.statusCode, one.status, one.name);
    if (one.status !== 200) t.ok(FAILURES.includes(answer.statusCode), one.name);
    t.match(answer.json(), one.body, one.name);
    t.equal(answer.headers['content-type'], 'application/json', one.name);
  }
  t.strictSame(bed.network.plugs, [], 'nothing was plugged');
  t.strictSame(readdirSync(join(bed.directory, 'lib')), ['amphora-xdp'], 'nothing was stored');
});

const dangerous = [
  ['no config at all', () => 'hello\n', /line 1/],
  ['Lua', (text: string) => text.replace('    daemon\n', '    lua-load /tmp/x\n'), /line 3.*Lua/],
  ['a second global', (text: string) => `${text}\nglobal\n    chroot /tmp\n`, /line \d+/],
  ['a program', (text: string) => `${text}\nprogram x\n    command /bin/sh\n`, /line \d+/],
  [
    'a file elsewhere',
    (text: string) => text.replace('    daemon\n', '    ca-base /etc\n'),
    /line 3/,
  ],
  [
    'a stats socket elsewhere',
    (text: string) => text.replace(/stats socket \S+/, 'stats socket /run/x.sock'),
    /line \d+/,
  ],
  ['no stats socket', (text: string) => text.replace(/.*stats socket.*\n/, ''), /stats socket/],
  ['a NUL', (text: string) => text.replace('daemon', 'dae\0mon'), /line 3.*0x00/],
  ['an empty body', () => '', /./],
] as const;

t.test('dangerous configs are refused with their line, and nothing changes', async (t) => {
  const bed = await startBed(t.testdir());
  const good = upload(bed.directory, 'a01-tcp/haproxy-08d76b82-11.0.0.cfg');
  await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: good });
  await bed.app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${LB}/reload` });
  const applied = bed.dataplane.applied.length;
  for (const [name, change, words] of dangerous) {
    const answer = await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: change(good) });
    t.equal(answer.statusCode, 400, name);
    t.match(answer.json(), { message: 'Invalid request', details: words }, name);
    const stored = readFileSync(join(bed.directory, 'lib', LB, 'haproxy.cfg'), 'utf8');
    t.equal(stored, good, `${name}: the stored config stays`);
  }
  bed.haproxy.refusal = '[ALERT] parsing [x:12] : unknown keyword';
  const refused = await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: good });
  t.strictSame(
    [refused.statusCode, refused.json()],
    [400, { message: 'Invalid request', details: bed.haproxy.refusal }],
  );
  const failed = readFileSync(join(bed.directory, 'lib', LB, 'haproxy.cfg.new-failed'), 'utf8');
  t.equal(failed, good, 'what came, for whoever looks into it');
  t.equal(bed.dataplane.applied.length, applied, 'the datapath heard nothing');
  const lvs = await bed.app.inject({ method: 'PUT', url: LVS, payload: 'virtual_server {{{' });
  t.equal(lvs.statusCode, 400);
  t.match(lvs.json(), { message: 'Invalid request', details: /line/ });
});

t.test("a line that today's HAProxy refuses is kept, but not what it judges", async (t) => {
  const bed = await startBed(t.testdir());
  const good = upload(bed.directory, 'a01-tcp/haproxy-08d76b82-11.0.0.cfg');
  const old = good.replace('\nfrontend ', '    option http-use-htx\n\nfrontend ');
  const put = await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: old });
  t.equal(put.statusCode, 202);
  t.notMatch(bed.haproxy.checked, 'http-use-htx');
  t.equal(
    bed.haproxy.checked.split('\n').length,
    old.split('\n').length,
    'complaints name its lines',
  );
  t.equal(readFileSync(join(bed.directory, 'lib', LB, 'haproxy.cfg'), 'utf8'), old);
});

t.test('charsets and sizes', async (t) => {
  const bed = await startBed(t.testdir());
  const good = upload(bed.directory, 'a01-tcp/haproxy-08d76b82-11.0.0.cfg');
  const latin = Buffer.from(`${good}# caf\u00e9\n`, 'latin1');
  const put = await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: latin });
  t.equal(put.statusCode, 202, 'Latin-1 of older controllers');
  t.strictSame(readFileSync(join(bed.directory, 'lib', LB, 'haproxy.cfg')), latin, 'byte for byte');
  const long = `${good}${'# filler\n'.repeat(300_000)}`;
  const big = await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: long });
  t.equal(big.statusCode, 202, '2.7 MB');
  const grouped = good.replace('    user nobody\n', '    user nobody\n    group nogroup\n');
  await bed.app.inject({ method: 'PUT', url: UPLOAD, payload: grouped });
  const stored = readFileSync(join(bed.directory, 'lib', LB, 'haproxy.cfg'), 'utf8');
  t.equal(stored, good, 'the group of older controllers is taken out');
});
