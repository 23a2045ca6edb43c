// SPDX-License-Identifier: Apache-2.0
// Rules of SR-IOV ports: the kernel's for what reaches HAProxy, beside the datapath's own for what it serves.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { FirewallRule } from '../../agent/core/network/rules.js';
import { loadFirewall, replaceFirewall } from '../../agent/shell/firewall.js';
import { makeBed } from '../support/bed.js';
import { LOAD_BALANCER, listenerId, renderLoadBalancer } from '../support/load-balancer-config.js';
import { connect, Namespace } from '../support/netns.js';
import { until } from '../support/run.js';
import { VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

/** Listens for everything at once; prints what has come within four seconds. */
const LISTENER = `
import select, socket, time
def udp(family, port):
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind(('', port)); return s
def tcp(port):
    s = socket.create_server(('', port), reuse_port=True); return s
def raw(family, protocol): return socket.socket(family, socket.SOCK_RAW, protocol)
all = {
    tcp(80): 'tcp 80', tcp(81): 'tcp 81', udp(socket.AF_INET, 53): 'udp 53',
    udp(socket.AF_INET, 68): 'dhcp', udp(socket.AF_INET6, 546): 'dhcp6', raw(socket.AF_INET, 112): 'vrrp',
}
icmp = raw(socket.AF_INET, 1)
print('ready', flush=True)
end = time.time() + 4
found = set()
while time.time() < end:
    for s in select.select([*all, icmp], [], [], 0.1)[0]:
        if s is icmp:
            kind = s.recv(2000)[20]
            if kind in (3, 8): found.add({3: 'unreachable', 8: 'echo'}[kind])
            continue
        found.add(all[s])
        s.accept() if all[s].startswith('tcp') else s.recv(2000)
print(' '.join(sorted(found)), flush=True)
`;
const SENDER = `
import socket, struct, sys
source = sys.argv[1]
def udp(family, here, to, port):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((source if family == socket.AF_INET else '', here)); s.sendto(b'x', (to, port))
def tcp(port):
    s = socket.socket(); s.settimeout(0.3); s.bind((source, 0))
    try: s.connect(('10.9.0.1', port))
    except OSError: pass
def raw(protocol, data):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol); s.bind((source, 0)); s.sendto(data, ('10.9.0.1', 0))
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
def icmp(kind):
    data = bytes([kind, 0, 0, 0]) + bytes(32)
    raw(1, data[:2] + struct.pack('!H', checksum(data)) + data[4:])
udp(socket.AF_INET, 67, '10.9.0.1', 68); udp(socket.AF_INET6, 547, '2001:db8:9::1', 546)
udp(socket.AF_INET, 0, '10.9.0.1', 53); raw(112, b'v' * 20); icmp(3); icmp(8)
tcp(80); tcp(81)
`;

t.test('the kernel lets in what the rules say', async (t) => {
  const [amphora, client] = await Promise.all(
    ['fw', 'fwclient'].map((role) => Namespace.create(`amp-${process.pid}-${role}`)),
  );
  if (!amphora || !client) throw new Error('two namespaces');
  const directory = mkdtempSync(join(tmpdir(), 'amp-fw-'));
  t.teardown(async () => {
    await Promise.all([amphora.remove(), client.remove()]);
    rmSync(directory, { recursive: true });
  });
  await connect({ namespace: amphora, name: 'eth1' }, { namespace: client, name: 'eth0' });
  await amphora.ip('address add 10.9.0.1/24 dev eth1', 'address add 2001:db8:9::1/64 dev eth1');
  await client.ip(
    ...['10.9.0.2/24', '10.9.0.3/24', '2001:db8:9::2/64'].map(
      (one) => `address add ${one} dev eth0`,
    ),
  );
  const file = join(directory, 'nftables-vip.rules');
  const options = { file, netns: amphora.path, vipInterface: 'eth1' };
  const heard = async (source: string): Promise<string> => {
    const listener = amphora.spawn('python3', ['-c', LISTENER]);
    let text = '';
    listener.stdout?.on('data', (data: Buffer) => (text += data.toString()));
    await until('listener is there', async () => text.startsWith('ready'));
    await client.exec('python3', '-c', SENDER, source);
    await new Promise((resolve) => listener.once('close', resolve));
    return text.split('\n')[1] ?? '';
  };
  const rule = (
    protocol: FirewallRule['protocol'],
    port: number,
    cidr: string | null,
  ): FirewallRule => ({ protocol, port, cidr });

  t.equal(await heard('10.9.0.2'), 'dhcp dhcp6 echo tcp 80 tcp 81 udp 53 unreachable vrrp', 'none');
  await loadFirewall(options);
  t.equal(await heard('10.9.0.2'), 'dhcp dhcp6 unreachable', 'before the first rules');
  t.equal(statSync(file).mode & 0o777, 0o600);

  const rules = [
    rule('TCP', 80, '10.9.0.2/32'),
    rule('TCP', 80, '10.9.0.2/31'), // overlaps
    rule('TCP', 80, '10.9.0.2/32'), // twice
    rule('TCP', 81, null),
    rule('UDP', 53, '0.0.0.0/0'),
    rule('VRRP', 112, '10.9.0.2/32'),
    rule('VRRP', 112, '2001:db8:9::2/128'),
    rule('SCTP', 99, '2001:db8::/32'),
  ];
  await replaceFirewall(options, rules);
  // From now on an ICMP error about nothing that was sent is invalid to conntrack.
  t.equal(await heard('10.9.0.2'), 'dhcp dhcp6 tcp 80 tcp 81 udp 53 vrrp', 'allowed');
  const fewer = rules.filter(({ cidr }) => cidr !== '10.9.0.2/31');
  await replaceFirewall(options, fewer);
  t.equal(await heard('10.9.0.3'), 'dhcp dhcp6 tcp 81 udp 53', 'another source');

  const before = readFileSync(file, 'utf8');
  const listed = await amphora.exec('nft', 'list', 'ruleset');
  const broken = [rule('TCP', 80, null), rule('nonsense' as 'TCP', 80, null)];
  await t.rejects(replaceFirewall(options, broken), /nft/);
  t.equal(readFileSync(file, 'utf8'), before, 'the file stays after a refusal');
  t.equal(await amphora.exec('nft', 'list', 'ruleset'), listed, 'and so do the rules');

  await amphora.exec('nft', 'flush', 'ruleset');
  await loadFirewall(options);
  t.equal(await amphora.exec('nft', 'list', 'ruleset'), listed, 'a new agent loads them again');
  await replaceFirewall(options, []);
  t.equal(await heard('10.9.0.2'), 'dhcp dhcp6', 'no rules allow nobody');
});

t.test('datapath and kernel decide alike', async (t: Test) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002, 8003, 8004] });
  const { client } = bed.world;
  const spec = { fixture: 'a01-tcp', members: [{ member: 'm1' as const }] };
  const v6 = { ...spec, vips: [VIP.v6] };
  let config = renderLoadBalancer([
    { ...spec, port: 8001 },
    { ...spec, port: 8002 },
    { ...v6, port: 8003 },
    { ...v6, port: 8004 },
  ]);
  for (const port of [8002, 8004])
    config = config.replace(`frontend ${listenerId(port)}\n`, '$&    option tcpka\n');
  await bed.controller.pushLoadBalancer(LOAD_BALANCER, config);
  const opened = async (source: string, port: number): Promise<number> => {
    const flows = new Flows(client, source.includes(':') ? VIP.v6 : VIP.v4, port);
    await flows.from({ first: source, count: 1 });
    const { opened: count } = await flows.open(1, { timeoutMs: 1500 });
    await flows.stop();
    return count;
  };
  const put = (cidrs: readonly (string | null)[]) =>
    bed.controller.putRules(
      [8001, 8002, 8003, 8004].flatMap((port) =>
        cidrs.map((cidr) => ({ protocol: 'TCP' as const, cidr, port })),
      ),
    );
  const table: readonly (readonly [(string | null)[], readonly (readonly [string, number])[]])[] = [
    [
      ['198.18.5.0/24', '198.18.6.7/32', '2001:db8:c1::5:0/112'],
      [
        ['198.18.5.7', 1],
        ['198.18.6.7', 1],
        ['198.18.6.8', 0],
        ['2001:db8:c1::5:7', 1],
        ['2001:db8:c1::6:7', 0],
      ],
    ],
    [
      ['0.0.0.0/0'],
      [
        ['198.18.6.8', 1],
        ['2001:db8:c1::6:7', 1],
      ],
    ],
    [
      [],
      [
        ['198.18.5.7', 0],
        ['2001:db8:c1::5:7', 0],
      ],
    ],
  ];
  for (const [cidrs, sources] of table) {
    await put(cidrs);
    for (const [source, wanted] of sources) {
      const ports = source.includes(':') ? [8003, 8004] : [8001, 8002];
      const found = await Promise.all(ports.map((port) => opened(source, port)));
      t.strictSame(found, [wanted, wanted], `${source} with ${cidrs.join(', ') || 'no rules'}`);
    }
  }
});
