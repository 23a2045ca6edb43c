// SPDX-License-Identifier: Apache-2.0
// Plugging for real: veth pairs are moved into a namespace of our own and configured there. Needs root.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import type { IpAddress } from '../../agent/core/model/load-balancer.js';
import { parseNetworkPlug, parseVipPlug } from '../../agent/core/network/plug-body.js';
import { readLinks, readRoutes, readRules } from '../../agent/shell/ip.js';
import { Neighbours } from '../../agent/shell/neighbours.js';
import { Network } from '../../agent/shell/network.js';

const NAMESPACE = `amp-${process.pid}-net`;
const VIP_MAC = '02:00:00:aa:00:01';
const MEMBER_MAC = '02:00:00:aa:00:02';
const VIP = {
  subnet_cidr: '192.0.2.0/24',
  gateway: '192.0.2.1',
  mac_address: VIP_MAC,
  vrrp_ip: '192.0.2.20',
  mtu: 1400,
  host_routes: [{ destination: '198.51.100.0/24', nexthop: '192.0.2.9' }],
  additional_vips: [
    {
      ip_address: '2001:db8::10',
      subnet_cidr: '2001:db8::/64',
      gateway: '2001:db8::1',
      host_routes: [],
    },
  ],
};

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const inside = (...args: string[]): string => ip('-n', NAMESPACE, ...args);

const networkIn = (directory: string): Network =>
  new Network({
    namespace: NAMESPACE,
    directory: join(directory, 'interfaces'),
    pluggedInterfacesFile: join(directory, 'plugged_interfaces'),
    stateDirectory: join(directory, 'state'),
    log: pino({ level: 'silent' }),
  });

const addressesOf = async (network: Network, name: string): Promise<string[]> =>
  (await network.links())
    .filter((link) => link.name === name)
    .flatMap((link) => link.addresses)
    .filter(({ scope }) => scope !== 'link')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .sort();

const veth = (name = '', mac: string): void => {
  ip('link', 'add', name, 'address', mac, 'type', 'veth', 'peer', 'name', `${name}p`);
  ip('link', 'set', `${name}p`, 'up');
};

/** A namespace that is deleted lets its links go a little later: each test has names of its own. */
const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => `a${letter}${process.pid}`);
t.teardown(() => {
  if (existsSync(`/var/run/netns/${NAMESPACE}`)) ip('netns', 'delete', NAMESPACE);
  // with the namespace its veths are gone, and their peers with them; what was never moved is not
  for (const name of names) {
    if (existsSync(`/sys/class/net/${name}`)) ip('link', 'delete', name);
  }
});

t.test('plug, plug again, re-plug, restart, detach', async (t) => {
  const directory = t.testdir();
  const network = networkIn(directory);
  await network.prepare();
  const sysctl = (key: string): string =>
    execFileSync('nsenter', [`--net=${network.netns}`, '--', 'sysctl', '-n', key], {
      encoding: 'utf8',
    }).trim();
  t.equal(sysctl('net.ipv4.ip_forward'), '1');
  t.equal(sysctl('net.ipv6.conf.all.forwarding'), '1');
  t.equal(sysctl('net.ipv4.conf.all.rp_filter'), '0');
  t.equal(sysctl('net.ipv4.ip_local_port_range').replaceAll(/\s+/g, ' '), '1025 10239');
  t.match(inside('link', 'show', 'lo'), /LOOPBACK,UP/);

  const vip = parseVipPlug('192.0.2.10', VIP);
  await t.rejects(network.plugVip(vip, true), { code: 'INTERFACE_NOT_FOUND' }, 'no such MAC yet');
  veth(names[0], VIP_MAC);
  veth(names[1], MEMBER_MAC);

  t.equal(
    await network.plugVip(vip, true),
    'VIPs plugged on interface eth1: 192.0.2.10, 2001:0db8:0000:0000:0000:0000:0000:0010',
  );
  t.strictSame(await addressesOf(network, 'eth1'), [
    '192.0.2.10/32',
    '192.0.2.20/24',
    '2001:db8::10/128',
  ]);
  const link = (await readLinks(network.netns)).find(({ name }) => name === 'eth1');
  t.match(link, { mtu: 1400, isUp: true, mac: VIP_MAC });
  const table1 = (await readRoutes(network.netns)).filter(({ table }) => table === '1');
  t.strictSame(
    table1.map(({ dst, gateway, prefsrc }) => [dst, gateway, prefsrc]),
    [
      ['default', '192.0.2.1', null],
      ['192.0.2.0/24', null, '192.0.2.10'],
      ['198.51.100.0/24', '192.0.2.9', null],
      ['2001:db8::/64', null, '2001:db8::10'],
      ['default', '2001:db8::1', null],
    ],
  );
  const fromVip = (await readRules(network.netns)).filter(({ table }) => table === '1');
  t.strictSame(fromVip.map(({ src }) => src).sort(), ['192.0.2.10', '2001:db8::10']);
  t.equal(readFileSync(join(directory, 'plugged_interfaces'), 'utf8'), `${VIP_MAC} eth1\n`);

  inside('addr', 'delete', '192.0.2.10/32', 'dev', 'eth1');
  inside('rule', 'add', 'from', '203.0.113.1', 'table', '7', 'protocol', '18', 'priority', '100');
  await t.rejects(network.plugVip(vip, true), { code: 'INTERFACE_EXISTS' });
  t.equal(
    await network.interfaceOf('192.0.2.10' as IpAddress),
    'eth1',
    'a repeat finishes the job',
  );
  t.match(inside('rule'), /203\.0\.113\.1/, "keepalived's rule stays");

  const fixed = (address: string) => ({
    ip_address: address,
    subnet_cidr: '198.18.0.0/24',
    gateway: '198.18.0.1',
    host_routes: [{ destination: '198.18.9.0/24', nexthop: '198.18.0.9' }],
  });
  const port = (...addresses: string[]) =>
    parseNetworkPlug({ mac_address: MEMBER_MAC, mtu: 1450, fixed_ips: addresses.map(fixed) });
  t.equal(await network.plugNetwork(port('198.18.0.5'), true), 'Plugged on interface eth2');
  t.strictSame(await addressesOf(network, 'eth2'), ['198.18.0.5/24']);
  const updated = await network.plugNetwork(port('198.18.0.6', '198.18.0.7'), true);
  t.equal(updated, 'Updated existing interface eth2');
  t.strictSame(await addressesOf(network, 'eth2'), ['198.18.0.6/24', '198.18.0.7/24']);
  t.match(inside('route', 'get', '198.18.9.1'), /via 198\.18\.0\.9 dev eth2/);
  t.notMatch(inside('route'), /default via 198\.18\.0\.1/, "a member subnet's gateway is not used");

  const replug = parseNetworkPlug({
    mac_address: VIP_MAC,
    fixed_ips: [{ ...fixed('192.0.2.30'), subnet_cidr: '192.0.2.0/24', gateway: '192.0.2.1' }],
    vip_net_info: { ...VIP, vip: '192.0.2.10', additional_vips: [] },
  });
  t.equal(await network.plugNetwork(replug, true), 'Updated existing interface eth1');
  t.strictSame(
    await addressesOf(network, 'eth1'),
    ['192.0.2.10/32', '192.0.2.20/24', '192.0.2.30/24', '2001:db8::10/128'],
    'the additional VIP that a re-plug never names stays',
  );

  const neighbours = new Neighbours({ netns: network.netns, log: pino({ level: 'silent' }) });
  await neighbours.keep(new Set(['198.18.0.77', '203.0.113.77'] as IpAddress[]));
  const managed = () =>
    inside('neigh', 'show', 'nud', 'all')
      .split('\n')
      .filter((line) => line.includes('managed'))
      .map((line) => line.split(' ')[0])
      .sort();
  t.strictSame(managed(), ['192.0.2.1', '192.0.2.9', '198.18.0.77', '198.18.0.9', '2001:db8::1']);
  await neighbours.keep(new Set());
  t.strictSame(managed(), ['192.0.2.1', '192.0.2.9', '198.18.0.9', '2001:db8::1']);

  const before = [inside('addr'), inside('route', 'show', 'table', 'all'), inside('rule')];
  await networkIn(directory).prepare();
  t.strictSame(
    [inside('addr'), inside('route', 'show', 'table', 'all'), inside('rule')],
    before,
    'a restart changes nothing',
  );

  inside('link', 'delete', 'eth2');
  await networkIn(directory).prepare();
  t.strictSame(await addressesOf(network, 'eth2'), [], 'a detached port is no error');
});

t.test('an endless duplicate detection is given up while the controller still waits', async (t) => {
  const directory = t.testdir();
  ip('netns', 'delete', NAMESPACE);
  const network = networkIn(directory);
  await network.prepare();
  const nsenter = [`--net=${network.netns}`, '--'];
  const setting = 'net.ipv6.conf.default.dad_transmits=300'; // a second each
  execFileSync('nsenter', [...nsenter, 'sysctl', '-qw', setting]);
  veth(names[4], VIP_MAC);
  const began = Date.now();
  const plug = network.plugVip(parseVipPlug('192.0.2.10', VIP), true);
  // Meanwhile HAProxy may bind the VIP already (contract P26).
  const bind = `require('net').createServer().listen(80, '2001:db8::10', () => process.exit(0))`;
  execFileSync('nsenter', [...nsenter, process.execPath, '-e', bind]);
  await t.rejects(plug, { code: 'NETWORK_FAILED', body: { details: /still tentative/ } });
  t.ok(Date.now() - began < 50_000, 'well below 60 s (contract P14)');
  t.equal(await network.interfaceOf('192.0.2.10' as IpAddress), 'eth1', 'IPv4 is there');
});

t.test('in active/standby the VIP is left to keepalived', async (t) => {
  const directory = t.testdir();
  ip('netns', 'delete', NAMESPACE);
  const network = networkIn(directory);
  await network.prepare();
  veth(names[2], VIP_MAC);
  await network.plugVip(parseVipPlug('192.0.2.10', { ...VIP, additional_vips: [] }), false);
  t.strictSame(await addressesOf(network, 'eth1'), ['192.0.2.20/24']);
  t.strictSame(
    (await readRules(network.netns)).filter(({ table }) => table === '1'),
    [],
  );
  inside('addr', 'add', '192.0.2.10/32', 'dev', 'eth1');
  await networkIn(directory).prepare();
  t.equal(
    await network.interfaceOf('192.0.2.10' as IpAddress),
    'eth1',
    'added by keepalived, kept',
  );
  const file = JSON.parse(readFileSync(join(directory, 'interfaces/eth1.json'), 'utf8')) as unknown;
  t.match(file, {
    name: 'eth1',
    if_type: 'vip',
    addresses: [
      { address: '192.0.2.20', prefixlen: 24 },
      { address: '192.0.2.10', prefixlen: 32, octavia_owned: false },
    ],
    rules: [],
  });
});

t.test('a reboot: interfaces outside come back in under their names', async (t) => {
  const directory = t.testdir();
  ip('netns', 'delete', NAMESPACE);
  const first = networkIn(directory);
  await first.prepare();
  veth(names[3], VIP_MAC);
  await first.plugVip(parseVipPlug('192.0.2.10', { ...VIP, additional_vips: [] }), true);
  ip('netns', 'delete', NAMESPACE);
  veth(names[0], VIP_MAC);
  const second = networkIn(directory);
  await second.prepare();
  t.strictSame(await addressesOf(second, 'eth1'), ['192.0.2.10/32', '192.0.2.20/24']);
});

t.test('a port that udev renames while it is plugged', async (t) => {
  const directory = t.testdir();
  ip('netns', 'delete', NAMESPACE);
  const network = networkIn(directory);
  await network.prepare();
  const [, , , , , name = ''] = names;
  veth(name, VIP_MAC);
  const number = readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8').trim();
  // Until it is gone.
  const rename = (to: string): string => `ip link set dev if${number} name ${to}`;
  const script = `while ${rename(`${name}x`)} && ${rename(name)}; do :; done 2> /dev/null`;
  const udev = spawn('sh', ['-c', script]);
  t.teardown(() => udev.kill());
  await network.plugVip(parseVipPlug('192.0.2.10', { ...VIP, additional_vips: [] }), true);
  t.strictSame(await addressesOf(network, 'eth1'), ['192.0.2.10/32', '192.0.2.20/24']);
});
