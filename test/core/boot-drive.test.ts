// SPDX-License-Identifier: Apache-2.0
// What is read off a config drive, and what is not.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseDriveMetadata } from '../../agent/core/boot/drive-metadata.js';
import { networkFiles } from '../../agent/core/boot/drive-network.js';
import { inCheckout } from '../support/paths.js';

const metadata = (fields: object): string => JSON.stringify({ uuid: 'u-1', ...fields });

t.test('the controller’s four files get modes of our own', async (t) => {
  const paths = [
    ['/etc/octavia/amphora-agent.conf', 0o600],
    ['/etc/octavia/certs/server.pem', 0o600],
    ['/etc/octavia/certs/client_ca.pem', 0o644],
    ['/etc/rsyslog.d/10-rsyslog.conf', 0o644],
  ] as const;
  const files = paths.map(([path], i) => ({ path, content_path: `/content/000${i}` }));
  const parsed = parseDriveMetadata(metadata({ files, hostname: 'amphora-6f4a.novalocal' }));
  t.equal(parsed.hostname, 'amphora-6f4a');
  t.strictSame(
    parsed.files,
    paths.map(([path, mode], i) => ({ path, mode, source: `content/000${i}` })),
  );
});

t.test('nothing else is written, wherever it is said to lie', async (t) => {
  const odd = [
    { path: '/etc/passwd', content_path: '/content/0000' },
    { path: '/etc/octavia/../shadow', content_path: '/content/0000' },
    { path: '/etc/octavia/certs/server.pem', content_path: '/content/../../etc/passwd' },
    { path: '/etc/octavia/certs/server.pem', content_path: '/etc/shadow' },
    { path: '/etc/octavia/certs/server.pem', content_path: '/content/.hidden' },
    { path: '/etc/octavia/certs/server.pem' },
    { path: 7, content_path: 7 },
    null,
    'text',
  ];
  t.strictSame(parseDriveMetadata(metadata({ files: odd })).files, []);
  t.strictSame(parseDriveMetadata(metadata({ files: 'none' })).files, []);
});

t.test('a document that is none', async (t) => {
  for (const text of ['', '[]', 'null', '{}', '{"uuid": 7}', '{"uuid": "../../x"}']) {
    t.throws(() => parseDriveMetadata(text), text);
  }
});

t.test('host names are names', async (t) => {
  for (const hostname of ['-x', 'a b', 'a\nb', '', '../x', 7, null]) {
    t.equal(parseDriveMetadata(metadata({ hostname })).hostname, null, String(hostname));
  }
});

const MAC = 'FA:16:3E:00:00:02';
const link = { id: 'tap0', type: 'ovs', ethernet_mac_address: MAC, mtu: 1450 };
const files = (networks: readonly object[], links: readonly object[] = [link]) =>
  networkFiles(JSON.stringify({ links, networks, services: [] }), new Set());
const linesOf = (network: object): string[] =>
  (files([{ id: 'network0', link: 'tap0', ...network }])[0]?.text ?? '').split('\n').slice(8);

t.test('the file of an interface', async (t) => {
  const [file] = files([{ id: 'network0', link: 'tap0', type: 'ipv4_dhcp' }]);
  t.equal(file?.name, '10-amphora-fa163e000002.network');
  t.strictSame(file?.text.split('\n'), [
    '# Made by amphora-config-drive: changes here are lost.',
    '[Match]',
    'MACAddress=fa:16:3e:00:00:02',
    '',
    '[Link]',
    'MTUBytes=1450',
    '',
    '[Network]',
    'DHCP=ipv4',
    'IPv6AcceptRA=no',
    '',
  ]);
});

const cases = [
  ['ipv6_slaac', { type: 'ipv6_slaac' }, ['DHCP=no', 'IPv6AcceptRA=yes', '']],
  ['stateful', { type: 'ipv6_dhcpv6-stateful' }, ['DHCP=ipv6', 'IPv6AcceptRA=yes', '']],
  [
    'a fixed IPv4 address with routes',
    {
      type: 'ipv4',
      ip_address: '172.31.0.10',
      netmask: '255.255.252.0',
      routes: [
        { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '172.31.0.1' },
        { network: '10.0.0.0', netmask: '255.0.0.0', gateway: '172.31.0.2' },
      ],
    },
    [
      'DHCP=no',
      'IPv6AcceptRA=no',
      'Address=172.31.0.10/22',
      '',
      '[Route]',
      'Destination=0.0.0.0/0',
      'Gateway=172.31.0.1',
      'GatewayOnLink=yes',
      '',
      '[Route]',
      'Destination=10.0.0.0/8',
      'Gateway=172.31.0.2',
      'GatewayOnLink=yes',
      '',
    ],
  ],
  [
    'a fixed IPv6 address with its prefix and a gateway',
    { type: 'ipv6', ip_address: '2001:DB8::0:5/64', gateway: 'fe80::1' },
    [
      'DHCP=no',
      'IPv6AcceptRA=no',
      'Address=2001:db8::5/64',
      '',
      '[Route]',
      'Destination=::/0',
      'Gateway=fe80::1',
      'GatewayOnLink=yes',
      '',
    ],
  ],
  [
    'an IPv6 netmask',
    { type: 'ipv6', ip_address: '2001:db8::5', netmask: 'ffff:ffff:ffff:ffff::' },
    ['DHCP=no', 'IPv6AcceptRA=no', 'Address=2001:db8::5/64', ''],
  ],
] as const;
for (const [name, network, expected] of cases)
  t.test(name, async (t) => {
    t.strictSame(linesOf(network), expected);
  });

t.test('both families by DHCP on one interface', async (t) => {
  const networks = ['ipv4_dhcp', 'ipv6_dhcp'].map((type) => ({ type, link: 'tap0' }));
  t.match(files(networks)[0]?.text, /DHCP=yes\nIPv6AcceptRA=yes/);
});

t.test('ports of tenants are not touched', async (t) => {
  const text = JSON.stringify({ links: [link], networks: [] });
  t.strictSame(networkFiles(text, new Set([MAC.toLowerCase()])), []);
});

t.test('what is not understood is refused, never half done', async (t) => {
  const fixed = { type: 'ipv4', link: 'tap0', ip_address: '10.0.0.5' };
  const refused: readonly (readonly [string, readonly object[], readonly object[]])[] = [
    ['a bond', [], [{ ...link, type: 'bond' }]],
    ['no MAC', [], [{ ...link, ethernet_mac_address: 'fa:16\n[Network]' }]],
    ['an unknown type', [{ type: 'ipv5', link: 'tap0' }], [link]],
    ['a netmask with holes', [{ ...fixed, netmask: '255.0.255.0' }], [link]],
    ['no address', [{ ...fixed, ip_address: '10.0.0.5\nDHCP=yes' }], [link]],
    ['a route without gateway', [{ ...fixed, routes: [{ network: '10.0.0.0/8' }] }], [link]],
    ['a route that is none', [{ ...fixed, routes: [null] }], [link]],
  ];
  for (const [name, networks, links] of refused) t.throws(() => files(networks, links), name);
  t.throws(() => networkFiles('[]', new Set()));
  t.strictSame(networkFiles('{}', new Set()), []);
});

t.test('an MTU that cannot be is left out', async (t) => {
  for (const mtu of [0, 70_000, 1450.5, '1450', null]) {
    t.notMatch(files([], [{ ...link, mtu }])[0]?.text, /MTU/);
  }
});

t.test('the example is read as its README says', async (t) => {
  const read = (name: string): string =>
    readFileSync(
      inCheckout(`cloud-init/examples/config-drive/openstack/latest/${name}.json`),
      'utf8',
    );
  t.equal(parseDriveMetadata(read('meta_data')).files.length, 4);
  t.equal(networkFiles(read('network_data'), new Set()).length, 1);
});
