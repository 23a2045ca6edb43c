// SPDX-License-Identifier: Apache-2.0
// Who lives where in the test world. Addresses are those of the recorded configs where they name any.
//
//   client --- router === vip network === amphora === member network === m1 m2 m3
//                 |            |             |              |
//                 |           m4             |             far --(MTU 1400)-- m5
//                 +--------------------------|--------------+
//                                            +=== small network (MTU 1400) === m6

export interface Network {
  readonly bridge: string;
  readonly mtu: number;
  readonly subnets: readonly { readonly cidr: string; readonly gateway: string }[];
}

export const NETWORKS = {
  vip: {
    bridge: 'vip',
    mtu: 1500,
    subnets: [
      { cidr: '10.0.0.0/24', gateway: '10.0.0.1' },
      { cidr: '2001:db8::/64', gateway: '2001:db8::1' },
      { cidr: '10.0.2.0/24', gateway: '10.0.2.1' },
    ],
  },
  member: {
    bridge: 'member',
    mtu: 1500,
    subnets: [
      { cidr: '10.1.0.0/24', gateway: '10.1.0.1' },
      { cidr: '2001:db8:1::/64', gateway: '2001:db8:1::1' },
    ],
  },
  small: {
    bridge: 'small',
    mtu: 1400,
    subnets: [
      { cidr: '10.2.0.0/24', gateway: '10.2.0.1' },
      { cidr: '2001:db8:2::/64', gateway: '2001:db8:2::1' },
    ],
  },
} as const satisfies Record<string, Network>;

export type NetworkName = keyof typeof NETWORKS;

/** The amphora's ports: as Neutron makes them and the controller describes them. */
export const PORTS = {
  vip: { mac: 'fa:16:3e:00:00:10', v4: '10.0.0.20', v6: '2001:db8::20' },
  member: { mac: 'fa:16:3e:00:00:11', v4: '10.1.0.100', v6: '2001:db8:1::64' },
  small: { mac: 'fa:16:3e:00:00:12', v4: '10.2.0.100', v6: '2001:db8:2::64' },
} as const;

/** Of the router's leg in the VIP network: the source of frames that come to the VIP from afar. */
export const ROUTER_MAC = 'fa:16:3e:00:00:01';

export const VIP = { v4: '10.0.0.10', v6: '2001:db8::10', second: '10.0.2.10' } as const;

export const CLIENT = {
  v4: '198.51.100.10',
  v6: '2001:db8:c::10',
  /** Ranges that are the client's as a whole: it may speak from any address in them. */
  range4: '198.18.0.0/16',
  first4: '198.18.0.1',
  range6: '2001:db8:c1::/64',
  first6: '2001:db8:c1::1',
} as const;

export interface MemberHome {
  readonly network: NetworkName | 'far';
  readonly v4: string;
  readonly v6: string;
}

export const MEMBERS = {
  m1: { network: 'member', v4: '10.1.0.10', v6: '2001:db8:1::a' },
  m2: { network: 'member', v4: '10.1.0.11', v6: '2001:db8:1::b' },
  m3: { network: 'member', v4: '10.1.0.12', v6: '2001:db8:1::c' },
  m4: { network: 'vip', v4: '10.0.0.30', v6: '2001:db8::30' },
  m5: { network: 'far', v4: '10.5.0.10', v6: '2001:db8:5::a' },
  m6: { network: 'small', v4: '10.2.0.10', v6: '2001:db8:2::a' },
} as const satisfies Record<string, MemberHome>;

export type MemberName = keyof typeof MEMBERS;

/** The router between the member network and m5; its cable to m5 carries 1400 bytes. */
export const FAR = {
  v4: '10.1.0.2',
  v6: '2001:db8:1::2',
  subnet4: '10.5.0.0/24',
  subnet6: '2001:db8:5::/64',
} as const;

export const MANAGEMENT = { controller: '172.31.0.1', amphora: '172.31.0.10' } as const;
