// SPDX-License-Identifier: Apache-2.0
// Ports and their addresses (operations 4, 6 and 7).
import { NETWORKS, PORTS, VIP } from '../../support/topology.js';
import { OK, type Row, call, framework, raw } from '../row.js';
import { details } from './details.js';

const SUBNET = framework(400, 'Bad Request: Invalid subnet information');
const PORT = framework(400, 'Bad Request: Invalid port information');
const [vip4, vip6] = NETWORKS.vip.subnets;
const [member4, member6] = NETWORKS.member.subnets;
const UNKNOWN_MAC = 'fa:16:3e:ff:ff:ff';
const VIP_BODY = {
  subnet_cidr: vip4.cidr,
  gateway: vip4.gateway,
  mac_address: PORTS.vip.mac,
  vrrp_ip: PORTS.vip.v4,
  mtu: 1450,
  host_routes: [{ nexthop: '10.0.0.9', destination: '10.9.0.0/16' }],
  additional_vips: [
    { ip_address: VIP.v6, subnet_cidr: vip6.cidr, gateway: vip6.gateway, host_routes: [] },
  ],
};
const VIP_PATH = `/1.0/plug/vip/${VIP.v4}`;
const JSON_TYPE = { 'Content-Type': 'application/json' };
const plugs = (body: object, vip: string = VIP.v4) => call('plug_vip', vip, body);
const text = (path: string, body: string, headers: Record<string, string> = JSON_TYPE) =>
  raw('POST', path, { body, headers });
const notAddress = (what: string) => `'${what}' does not appear to be an IPv4 or IPv6 address`;
const invalid = (message: string) => ({ status: 400, body: { message } });
const MISSING = {
  status: 404,
  body: { details: 'No suitable network interface found' },
  outcome: 'raises TimeOutException', // the controller asks again until its patience ends
};

const refusedVips: readonly Row[] = [
  { name: 'a VIP without a body', ask: raw('POST', VIP_PATH, { headers: JSON_TYPE }), ...SUBNET },
  { name: 'a VIP: no JSON', ask: text(VIP_PATH, '{"subnet_cidr": '), ...SUBNET },
  { name: 'a VIP: a list', ask: text(VIP_PATH, '[]'), ...SUBNET },
  { name: 'a VIP: null', ask: text(VIP_PATH, 'null'), ...SUBNET },
  {
    name: 'a VIP: no UTF-8',
    ask: raw('POST', VIP_PATH, { headers: JSON_TYPE, body: { base64: '/v8=' } }),
    ...SUBNET,
  },
  {
    name: 'a VIP of no content type',
    ask: text(VIP_PATH, JSON.stringify(VIP_BODY), {}),
    ...SUBNET,
  },
  {
    name: 'a VIP said to be text',
    ask: text(VIP_PATH, JSON.stringify(VIP_BODY), { 'Content-Type': 'text/plain' }),
    ...SUBNET,
  },
  ...(['subnet_cidr', 'gateway', 'mac_address'] as const).map((key): Row => ({
    name: `a VIP without ${key}`,
    ask: plugs({ ...VIP_BODY, [key]: undefined }),
    ...SUBNET,
  })),
  {
    name: 'a VIP that is no address',
    ask: plugs(VIP_BODY, 'foo'),
    ...invalid(`Invalid VIP: ${notAddress('foo')}`),
  },
  {
    name: 'a VIP in a subnet with host bits',
    ask: plugs({ ...VIP_BODY, subnet_cidr: '10.0.0.1/24' }),
    ...invalid('Invalid VIP: 10.0.0.1/24 has host bits set'),
  },
  {
    name: 'a VIP in a subnet that is none',
    ask: plugs({ ...VIP_BODY, subnet_cidr: 'x' }),
    ...invalid(`Invalid VIP: 'x' does not appear to be an IPv4 or IPv6 network`),
  },
  {
    name: 'an additional VIP that is no address',
    ask: plugs({
      ...VIP_BODY,
      additional_vips: [
        { ip_address: 'x', subnet_cidr: vip6.cidr, gateway: null, host_routes: [] },
      ],
    }),
    ...invalid(`Invalid VIP: ${notAddress('x')}`),
  },
  {
    name: 'a VRRP address that is none',
    ask: plugs({ ...VIP_BODY, vrrp_ip: '10.0.0.300' }),
    ...invalid(`Invalid VRRP Address: ${notAddress('10.0.0.300')}`),
  },
  {
    name: 'a VIP whose port is not there yet',
    ask: plugs({ ...VIP_BODY, mac_address: UNKNOWN_MAC }),
    ...MISSING,
  },
];

const EXPLODED = '2001:0db8:0000:0000:0000:0000:0000:0010';
const vips: readonly Row[] = [
  {
    name: 'the VIPs',
    ask: plugs(VIP_BODY),
    status: 202,
    body: { ...OK, details: `VIPs plugged on interface eth1: ${VIP.v4}, ${EXPLODED}` },
    leaves: {
      [`link ${PORTS.vip.mac}`]: 'eth1',
      'mode /etc/octavia/interfaces/eth1.json': '0644',
      'mode /var/lib/octavia/plugged_interfaces': '0644',
      'text /var/lib/octavia/plugged_interfaces': `${PORTS.vip.mac} eth1\n`,
      'addresses eth1': `${VIP.v4}/32, ${PORTS.vip.v4}/24, ${VIP.v6}/128`,
      'routes eth1 1': `10.0.0.0/24 proto static scope link src ${VIP.v4}, 10.9.0.0/16 via 10.0.0.9 proto static onlink, default via 10.0.0.1 proto static onlink`,
      'routes6 eth1 1': `2001:db8::/64 proto static src ${VIP.v6} metric 1024 pref medium, default via 2001:db8::1 proto static metric 1024 onlink pref medium`,
      rules: `from ${VIP.v4} lookup 1, from ${VIP.v6} lookup 1`,
    },
  },
  {
    name: 'the VIPs again',
    ask: plugs(VIP_BODY),
    status: 409,
    body: { message: 'Interface already exists' },
    leaves: { 'text /var/lib/octavia/plugged_interfaces': `${PORTS.vip.mac} eth1\n` },
  },
];

const found = (address: string, name: string): Row => ({
  name: `whose address is ${address}`,
  ask: call('get_interface', address),
  status: 200,
  body: { ...OK, interface: name },
  outcome: { ...OK, interface: name },
});

const interfaces: readonly Row[] = [
  found(VIP.v4, 'eth1'),
  found(PORTS.vip.v4, 'eth1'),
  found(VIP.v6, 'eth1'),
  found(EXPLODED, 'eth1'),
  {
    name: 'an address that nobody has',
    ask: call('get_interface', '10.0.0.99'),
    status: 404,
    body: { message: 'Error interface not found for IP address' },
  },
  ...['eth1', '10.0.0.300', '10.0.0', '%zz'].map((word): Row => ({
    name: `an address that is none: ${word}`,
    ask: raw('GET', `/1.0/interface/${word}`),
    ...invalid('Invalid IP address'),
  })),
];

const fixed = (address: string, { cidr, gateway }: { cidr: string; gateway: string }) => ({
  ip_address: address,
  subnet_cidr: cidr,
  gateway,
  host_routes: [],
});
const member = (...ips: readonly object[]) =>
  call('plug_network', { mac_address: PORTS.member.mac, fixed_ips: ips, mtu: 1400 });
const NETWORK_PATH = '/1.0/plug/network';
const done = (details: string) => ({ status: 202, body: { ...OK, details } });

const networks: readonly Row[] = [
  { name: 'a port: no JSON', ask: text(NETWORK_PATH, 'x'), ...PORT },
  { name: 'a port: a list', ask: text(NETWORK_PATH, '[]'), ...PORT },
  { name: 'a port of no content type', ask: text(NETWORK_PATH, '{}', {}), ...PORT },
  { name: 'a port without a MAC', ask: call('plug_network', { fixed_ips: [] }), ...PORT },
  {
    name: 'a port with an address that is none',
    ask: member(fixed('1.2.3', member4)),
    ...invalid('Invalid network port'),
  },
  {
    name: 'a port that is not there yet',
    ask: call('plug_network', { mac_address: UNKNOWN_MAC, fixed_ips: [] }),
    ...MISSING,
  },
  {
    name: 'a member port',
    ask: member(fixed(PORTS.member.v4, member4)),
    ...done('Plugged on interface eth2'),
    leaves: {
      [`link ${PORTS.member.mac}`]: 'eth2',
      'addresses eth2': `${PORTS.member.v4}/24`,
      'routes eth2': `10.1.0.0/24 proto kernel scope link src ${PORTS.member.v4}`,
      'mode /etc/octavia/interfaces/eth2.json': '0644',
      'text /var/lib/octavia/plugged_interfaces': `${PORTS.vip.mac} eth1\n${PORTS.member.mac} eth2\n`,
    },
  },
  {
    name: 'the same member port with one address more',
    ask: member(fixed(PORTS.member.v4, member4), fixed(PORTS.member.v6, member6)),
    ...done('Updated existing interface eth2'),
    leaves: { 'addresses eth2': `${PORTS.member.v4}/24, ${PORTS.member.v6}/64` },
  },
  {
    name: 'the same member port with one address less',
    ask: member(fixed(PORTS.member.v6, member6)),
    ...done('Updated existing interface eth2'),
    leaves: {
      'addresses eth2': `${PORTS.member.v6}/64`,
      'text /var/lib/octavia/plugged_interfaces': `${PORTS.vip.mac} eth1\n${PORTS.member.mac} eth2\n`,
    },
  },
  {
    name: 'a member subnet on the VIP port',
    ask: call('plug_network', {
      mac_address: PORTS.vip.mac,
      fixed_ips: [fixed('10.7.0.5', { cidr: '10.7.0.0/24', gateway: '10.7.0.1' })],
      vip_net_info: { ...VIP_BODY, vip: VIP.v4, additional_vips: [] },
    }),
    ...done('Updated existing interface eth1'),
    leaves: {
      'addresses eth1': `${VIP.v4}/32, ${PORTS.vip.v4}/24, 10.7.0.5/24, ${VIP.v6}/128`,
    },
  },
  {
    name: 'details of plugged interfaces',
    ask: call('get_details'),
    status: 200,
    body: details({ interfaces: ['eth1', 'eth2'] }),
  },
];

export const plugRows: readonly Row[] = [...refusedVips, ...vips, ...interfaces, ...networks];
