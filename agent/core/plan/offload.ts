// SPDX-License-Identifier: Apache-2.0
// The offload decision: which engine serves a listener, and why (contract 4.4).
import { familyOf } from '../model/address.js';
import { summariseReasons } from '../model/reasons.js';
import type { Engine, IpAddress, Listener, Member, Pool, Reason } from '../model/load-balancer.js';
import { idleMsOf } from './parts.js';

/** A listener before the decision. */
export type UndecidedListener = Omit<Listener, 'engine' | 'reasons'>;

export interface OffloadInput {
  readonly listener: UndecidedListener;
  /** What the parser saw that only a proxy can do; empty for LVS. */
  readonly obstacles: readonly Reason[];
  /** What the parser saw that the datapath ignores, and the reader may wonder about. */
  readonly remarks: readonly Reason[];
  /** Addresses of the amphora itself, VIPs among them: the datapath cannot forward to a member there. */
  readonly localAddresses: ReadonlySet<IpAddress>;
}

export interface OffloadDecision {
  readonly engine: Engine;
  /** Never empty, one per code: everything that speaks for the engine, not only the first thing. */
  readonly reasons: readonly Reason[];
}

/** Decides for one listener. UDP and SCTP have no other engine than the datapath. */
export const decideOffload = (input: OffloadInput): OffloadDecision => {
  const { listener, remarks } = input;
  if (!listener.enabled) return none('listener-disabled', 'the listener is disabled', remarks);
  if (listener.origin === 'lvs') return decideLvs(input);
  const obstacles = summariseReasons([...input.obstacles, ...reachObstacles(input)]);
  if (obstacles.length > 0) return { engine: 'haproxy', reasons: obstacles };
  return {
    engine: 'datapath',
    reasons: [l4Reason(listener), ...summariseReasons(remarks), ...notes(listener)],
  };
};

/** Adds the decision to the listener. */
export const withEngine = (input: OffloadInput): Listener => ({
  ...input.listener,
  ...decideOffload(input),
});

const none = (code: string, text: string, remarks: readonly Reason[]): OffloadDecision => ({
  engine: 'none',
  reasons: [{ code, text }, ...remarks],
});

const decideLvs = ({ listener, remarks }: OffloadInput): OffloadDecision => {
  if (listener.vips.length === 0) {
    return none('no-address', 'the config names no address: the listener has no pool', remarks);
  }
  return {
    engine: 'datapath',
    reasons: [l4Reason(listener), ...summariseReasons(remarks), ...notes(listener)],
  };
};

const l4Reason = ({ protocol, pools }: UndecidedListener): Reason => ({
  code: 'l4',
  text:
    pools.length === 0
      ? `plain ${protocol}: nothing here needs a proxy`
      : `plain ${protocol} to plain ${protocol} members: nothing here needs a proxy`,
});

const reachObstacles = ({ listener, localAddresses }: OffloadInput): Reason[] => {
  const members = listener.pools.flatMap((pool) => pool.members).filter((member) => member.enabled);
  return [
    ...members.filter(isUnnamed).map(({ id }) => ({
      code: 'member-address',
      text: `member ${id} is not given by an IP address and port`,
    })),
    ...members.filter(isNamed).flatMap((member) => memberObstacles(member, localAddresses)),
    ...familyObstacles(listener, members.filter(isNamed)),
  ];
};

type NamedMember = Member & { readonly address: IpAddress };
const isNamed = (member: Member): member is NamedMember => member.address !== null;
const isUnnamed = (member: Member): boolean => member.address === null || member.port === null;

const memberObstacles = ({ id, address }: NamedMember, own: ReadonlySet<IpAddress>): Reason[] => {
  if (!own.has(address) && !isUnroutable(address)) return [];
  return [
    {
      code: 'member-local',
      text: `member ${id} at ${address} is not reached through a network interface`,
    },
  ];
};

/** Loopback, unspecified and multicast addresses: HAProxy's sockets may reach them, a forwarder cannot. */
const isUnroutable = (address: IpAddress): boolean =>
  /^(0|127|22[4-9]|23\d)\.|^::$|^::1$|^ff[0-9a-f]{2}:|^::ffff:/.test(address);

const familyObstacles = (
  { vips }: UndecidedListener,
  members: readonly NamedMember[],
): Reason[] => {
  const other = members.find(({ address }) =>
    vips.some((vip) => familyOf(vip.address) !== familyOf(address)),
  );
  const vip = vips.find(
    ({ address }) => other !== undefined && familyOf(address) !== familyOf(other.address),
  );
  if (other === undefined || vip === undefined) return [];
  return [
    {
      code: 'family-mix',
      text:
        `VIP ${vip.address} is IPv${familyOf(vip.address)} and member ${other.id} is ` +
        `IPv${familyOf(other.address)}: the datapath does not translate between families`,
    },
  ];
};

/** What the datapath does differently from the words of the config, or does with nothing to forward to. */
const notes = (listener: UndecidedListener): Reason[] => {
  const pool = listener.pools.find(({ id }) => id === listener.defaultPool);
  if (pool === undefined) {
    return [{ code: 'no-pool', text: 'no pool is attached: connections are refused' }];
  }
  return [...persistenceNotes(pool), ...lvsNotes(listener, pool)];
};

const persistenceNotes = ({ persistence }: Pool): Reason[] =>
  persistence === null || persistence.type === 'SOURCE_IP'
    ? []
    : [{ code: 'cookie-inert', text: 'cookie persistence has no effect without HTTP' }];

const lvsNotes = (listener: UndecidedListener, pool: Pool): Reason[] => {
  const reasons: Reason[] = [];
  const { origin, vips } = listener;
  if (origin === 'lvs') {
    const seconds = idleMsOf({ ...listener, engine: 'datapath', reasons: [] }) / 1000;
    const text = `the config carries no timeouts: an idle flow is kept for ${seconds} s`;
    reasons.push({ code: 'idle-time', text });
  }
  if (pool.memberConnectionLimit !== null) {
    reasons.push({
      code: 'limit-per-member',
      text: `each member takes at most ${pool.memberConnectionLimit} connections`,
    });
  }
  if (new Set(vips.map((vip) => familyOf(vip.address))).size > 1) {
    reasons.push({
      code: 'by-family',
      text: 'each VIP is served by the members of its own address family',
    });
  }
  return reasons;
};
