// SPDX-License-Identifier: Apache-2.0
// What the population's listeners promise: who serves which address and port, and in which unit it is billed.
import { enums } from '../../../agent/core/plan/layout.gen.js';
import { localBitmap } from '../support/local-bitmap.js';
import { LISTENERS, MARTIANS, OWN } from './population.js';
import { addressText, hexadecimal } from './traffic.js';
import { SCTP, TCP, UDP } from './view.js';

export interface Served {
  /** `address:port` of the members, addresses in hexadecimal. */
  readonly members: ReadonlySet<string>;
  /** Whole IP packets instead of payload. */
  readonly billsPackets: boolean;
}

const PROTOCOL = { tcp: TCP, udp: UDP, sctp: SCTP } as const;

const nameOf = (protocol: number, address: string, port: number): string =>
  `${protocol} ${address}:${port}`;

const SERVICES: ReadonlyMap<string, Served> = new Map(
  LISTENERS.flatMap(({ vips = [], port = 80, protocol = 'tcp', flags = 0, members }) => {
    const served: Served = {
      members: new Set(
        members.map((member) => `${hexadecimal(member.address)}:${member.port ?? 8080}`),
      ),
      billsPackets: (flags & enums.listener_flag.LISTENER_COUNT_PACKETS) !== 0,
    };
    return vips.map((vip) => [nameOf(PROTOCOL[protocol], hexadecimal(vip), port), served] as const);
  }),
);

/** Who serves packets to this address, in hexadecimal. */
export const servedAt = (protocol: number, address: string, port: number): Served | undefined =>
  SERVICES.get(nameOf(protocol, address, port));

const LOCAL = localBitmap(OWN).toString('hex');
const known = new Map<string, boolean>();

/** Whether the datapath may take the address for its own: it asks a bitmap of hashes, which strangers may share. */
export const mayBeOwn = (address: string): boolean => {
  const before = known.get(address);
  if (before !== undefined) return before;
  const isOwn = localBitmap([...OWN, addressText(address)]).toString('hex') === LOCAL;
  known.set(address, isOwn);
  return isOwn;
};

const SPECIAL = new Set([...MARTIANS[4], ...MARTIANS[6]].map(hexadecimal));

/** An address that no single machine has, so that nothing may come from it. */
export const isMartian = (address: string): boolean =>
  SPECIAL.has(address) ||
  (address.length === 8
    ? /^(00|7f|[ef])/.test(address)
    : /^(ff|00000000000000000000000000000000$|00000000000000000000000000000001$)/.test(address));
