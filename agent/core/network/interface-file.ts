// SPDX-License-Identifier: Apache-2.0
// What an interface of the namespace should look like, in the format of the reference's files (contract 5.2).
import { type Cidr, addressBytes, familyOf } from '../model/address.js';
import type { IpAddress } from '../model/load-balancer.js';

export interface InterfaceAddress {
  readonly address?: string;
  readonly prefixlen?: number;
  /** False: keepalived adds and removes it, we do neither (contract P21). */
  readonly octavia_owned?: boolean;
  readonly dhcp?: true;
  readonly ipv6auto?: true;
}

export interface InterfaceRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly flags?: readonly string[];
  readonly scope?: string;
  readonly prefsrc?: string;
  readonly table?: number;
}

export interface InterfaceRule {
  readonly src: string;
  readonly src_len: number;
  readonly table: number;
}

export interface InterfaceFile {
  readonly name: string;
  readonly if_type: 'vip' | 'backend' | 'lo';
  readonly is_sriov: boolean;
  readonly mtu?: number;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly InterfaceRoute[];
  readonly rules: readonly InterfaceRule[];
  /** Empty in ours: the datapath does what the reference's masquerade scripts are for. */
  readonly scripts: { readonly up: readonly never[]; readonly down: readonly never[] };
}

export interface HostRoute {
  readonly destination: Cidr;
  readonly nexthop: IpAddress;
}

export interface VipAddress {
  readonly address: IpAddress;
  readonly subnet: Cidr;
  readonly gateway: IpAddress | null;
  readonly hostRoutes: readonly HostRoute[];
}

export interface FixedIp {
  readonly address: IpAddress;
  readonly subnet: Cidr;
  readonly gateway: IpAddress | null;
  readonly hostRoutes: readonly HostRoute[];
}

/** A plugged VIP port, as the two plug calls describe it. */
export interface VipPort {
  readonly vips: readonly VipAddress[];
  /** The amphora's own address there, on the first VIP's subnet. Null: DHCP or autoconfiguration. */
  readonly vrrpIp: IpAddress | null;
  readonly mtu: number | null;
  readonly isSriov: boolean;
  readonly fixedIps: readonly FixedIp[];
}

const VIP_TABLE = 1;

/** Contract 5.3, in its order. `managed` is true in SINGLE, where nobody else adds the VIP. */
export const vipInterfaceFile = (name: string, port: VipPort, managed: boolean): InterfaceFile => ({
  name,
  if_type: 'vip',
  is_sriov: port.isSriov,
  ...(port.mtu === null ? {} : { mtu: port.mtu }),
  addresses: [
    ...vrrpAddresses(port),
    ...port.vips.map((vip) => ({
      address: exploded(vip.address),
      prefixlen: bitsOf(vip.address),
      octavia_owned: managed,
    })),
    ...port.fixedIps.map(fixedAddress),
  ],
  routes: [
    ...port.vips.flatMap((vip) => vipRoutes(vip, managed)),
    ...port.fixedIps.flatMap((fixed) => [
      ...defaultRoutes(fixed, managed),
      ...hostRoutes(fixed.hostRoutes),
    ]),
  ],
  rules: managed
    ? port.vips.map(({ address }) => ({
        src: exploded(address),
        src_len: bitsOf(address),
        table: VIP_TABLE,
      }))
    : [],
  scripts: { up: [], down: [] },
});

/** Contract 5.4: addresses and host routes; gateways of member subnets are not used. */
export const memberInterfaceFile = (
  name: string,
  port: Pick<VipPort, 'mtu' | 'isSriov' | 'fixedIps'>,
): InterfaceFile => ({
  name,
  if_type: 'backend',
  is_sriov: port.isSriov,
  ...(port.mtu === null ? {} : { mtu: port.mtu }),
  addresses:
    port.fixedIps.length > 0
      ? port.fixedIps.map(fixedAddress)
      : [{ dhcp: true as const, ipv6auto: true as const }],
  routes: port.fixedIps.flatMap((fixed) => hostRoutes(fixed.hostRoutes)),
  rules: [],
  scripts: { up: [], down: [] },
});

/** Rewritten at every start (contract 5.2). */
export const loopbackInterfaceFile = (): InterfaceFile => ({
  name: 'lo',
  if_type: 'lo',
  is_sriov: false,
  addresses: [{ address: '127.0.0.1', prefixlen: 8 }],
  routes: [],
  rules: [],
  scripts: { up: [], down: [] },
});

/** All groups of an IPv6 address with all their digits, as Python's `exploded`; IPv4 unchanged. */
export const exploded = (address: IpAddress): string =>
  familyOf(address) === 4
    ? address
    : (Buffer.from(addressBytes(address)).toString('hex').match(/.{4}/g) ?? []).join(':');

const bitsOf = (address: IpAddress): number => (familyOf(address) === 4 ? 32 : 128);
const cidrText = ({ address, prefix }: Cidr): string => `${exploded(address)}/${prefix}`;

const vrrpAddresses = ({ vips, vrrpIp }: VipPort): InterfaceAddress[] => {
  const prefixlen = vips[0]?.subnet.prefix;
  if (vrrpIp !== null && prefixlen !== undefined) return [{ address: exploded(vrrpIp), prefixlen }];
  const families = vips.map(({ address }) => familyOf(address));
  const wishes = {
    ...(families.includes(4) ? { dhcp: true as const } : {}),
    ...(families.includes(6) ? { ipv6auto: true as const } : {}),
  };
  return Object.keys(wishes).length > 0 ? [wishes] : [];
};

const fixedAddress = ({ address, subnet }: FixedIp): InterfaceAddress => ({
  address: exploded(address),
  prefixlen: subnet.prefix,
});

const vipRoutes = (vip: VipAddress, managed: boolean): InterfaceRoute[] => {
  const subnet = cidrText(vip.subnet);
  const inVipTable = {
    dst: subnet,
    prefsrc: exploded(vip.address),
    scope: 'link',
    table: VIP_TABLE,
  };
  return [
    ...defaultRoutes(vip, managed),
    { dst: subnet, scope: 'link' },
    ...(managed ? [inVipTable] : []),
    ...hostRoutes(vip.hostRoutes),
    // In both topologies: keepalived does not know about host routes (contract P23).
    ...hostRoutes(vip.hostRoutes, VIP_TABLE),
  ];
};

const defaultRoutes = (
  { address, gateway }: Pick<VipAddress, 'address' | 'gateway'>,
  managed: boolean,
): InterfaceRoute[] => {
  if (gateway === null) return [];
  const dst = familyOf(address) === 4 ? '0.0.0.0/0' : '::/0';
  const route = { dst, gateway: exploded(gateway), flags: ['onlink'] };
  return managed ? [route, { ...route, table: VIP_TABLE }] : [route];
};

const hostRoutes = (routes: readonly HostRoute[], table?: number): InterfaceRoute[] =>
  routes.map(({ destination, nexthop }) => ({
    dst: cidrText(destination),
    gateway: exploded(nexthop),
    flags: ['onlink'],
    ...(table === undefined ? {} : { table }),
  }));
