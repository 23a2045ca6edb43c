// SPDX-License-Identifier: Apache-2.0
// Who meets in the fuzz: a load balancer with every kind of listener, and a few clients that call it again and again,
// so that their ports, their members and their SNAT ports come round.
import { enums } from '../../../agent/core/plan/layout.gen.js';
import type { BoardSpec, ListenerSpec, MemberSpec } from '../support/board-spec.js';
import { ABSENT_VIP4, ABSENT_VIP6, OTHER_VIP4, PORTS, VIP4, VIP6 } from '../support/world.js';

const { LISTENER_LIVE, LISTENER_COUNT_PACKETS, LISTENER_KEEP_PORT, LISTENER_LOG } =
  enums.listener_flag;

const back = (...hosts: readonly number[]): MemberSpec[] =>
  hosts.flatMap((host) => [{ address: `10.1.0.${host}` }]);
const back6 = (...hosts: readonly number[]): MemberSpec[] =>
  hosts.flatMap((host) => [{ address: `fd00:1::${host}` }]);

/** A listener per family, since members have the family of their VIP. */
const both = (
  more: Omit<ListenerSpec, 'members' | 'vips'>,
  hosts: readonly number[],
): ListenerSpec[] => [
  { ...more, vips: [VIP4], members: back(...hosts) },
  { ...more, vips: [VIP6], members: back6(...hosts) },
];

const UDP_FLAGS = LISTENER_LIVE | LISTENER_COUNT_PACKETS | LISTENER_LOG;

export const LISTENERS: readonly ListenerSpec[] = [
  ...both({ port: 80, flags: LISTENER_LIVE | LISTENER_LOG }, [11, 12, 13]),
  ...both(
    { port: 81, algorithm: 'leastConnections', persistence: { prefix4: 24, prefix6: 64 } },
    [14, 15],
  ),
  ...both({ port: 82, algorithm: 'sourceHash', connectionLimit: 5 }, [11, 16]),
  ...both({ port: 83 }, []),
  { port: 84, vips: [VIP4], members: [{ address: '10.2.0.11' }], allowed: ['198.51.100.0/28'] },
  { port: 84, vips: [VIP6], members: [{ address: 'fd00:2::11' }], allowed: ['2001:db8:c::/124'] },
  ...both({ port: 53, protocol: 'udp', flags: UDP_FLAGS | LISTENER_KEEP_PORT }, [11, 12]),
  ...both({ port: 54, protocol: 'udp', flags: UDP_FLAGS, persistence: {} }, [17]),
  { port: 55, vips: [VIP4], protocol: 'udp', members: [{ address: '10.1.0.99' }] },
  { port: 56, vips: [VIP4], protocol: 'udp', members: [{ address: '10.77.0.1' }] },
  { port: 57, vips: [VIP4, OTHER_VIP4], protocol: 'udp', members: [{ address: '10.9.0.11' }] },
  { port: 80, vips: [ABSENT_VIP4], members: back(11) },
  { port: 80, vips: [ABSENT_VIP6], members: back6(11) },
  ...both(
    { port: 8080, protocol: 'sctp', flags: LISTENER_LIVE | LISTENER_COUNT_PACKETS },
    [11, 18],
  ),
];

/** 48 SNAT ports per member, which a run exhausts; closed flows give theirs back after half a second. */
export const SNAT = { min: 20000, max: 20047 };

export const BOARD: BoardSpec = {
  listeners: LISTENERS,
  control: {
    snat_port_min: SNAT.min,
    snat_port_max: SNAT.max,
    reselect_stamps: 1,
    suspect_stamps: 1,
    closed_stamps: 2,
    flags: enums.control_flag.CONTROL_EVENTS_OPEN | enums.control_flag.CONTROL_EVENTS_CLOSE,
  },
};

const hosts = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i + 7}`);

export const CLIENTS = { 4: hosts('198.51.100.', 12), 6: hosts('2001:db8:c::', 12) } as const;

/** Sources that no packet may have: RFC 1122 3.2.1.3, RFC 4291 2.5.2, 2.5.3, 2.7; and the VIP itself. */
export const MARTIANS = {
  4: [
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.9.9.9',
    '224.0.0.1',
    '239.1.1.1',
    '240.0.0.1',
    '255.255.255.255',
  ],
  6: ['::', '::1', 'ff02::1', 'ff0e::5'],
} as const;

/** Addresses that the datapath has no business with. */
export const STRANGERS = {
  4: ['10.0.0.77', '192.0.2.1', '224.0.0.18', '255.255.255.255'],
  6: ['fd00:0::77', '2001:db8::1', 'ff02::12', 'ff02::1:ff00:100'],
} as const;

const own = Object.values(PORTS).flatMap(({ addresses }) =>
  addresses.map((address) => address.split('/')[0] ?? address),
);
export const OWN = [...own, VIP4, VIP6, OTHER_VIP4, ABSENT_VIP4, ABSENT_VIP6];
