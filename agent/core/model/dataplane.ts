// SPDX-License-Identifier: Apache-2.0
// What the agent asks of the datapath and what it hears back. Knows ids, never map numbers.
import type { FlowLogCounters } from './flow-log.js';
import type { IpAddress, Listener } from './load-balancer.js';

export type HookChoice = 'auto' | 'xdp' | 'tc';

/** An interface of the amphora-haproxy namespace, as the network watcher sees it now. */
export interface DatapathInterface {
  readonly name: string;
  readonly ifindex: number;
  readonly mtu: number;
  readonly addresses: readonly { readonly address: IpAddress; readonly prefix: number }[];
  readonly driver: string;
  readonly hook: HookChoice;
}

/** Sources that may open flows to a service; absent for a listener means anyone (contract 5.8). */
export interface AllowedSources {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
  /** null: any source. */
  readonly cidr: string | null;
}

/** Everything that the maps are a projection of. */
export interface WantedState {
  /** Only those with engine `datapath`. */
  readonly listeners: readonly Listener[];
  /** Members that a monitor has found down: `<pool>:<listener>/<member>`. */
  readonly down: ReadonlySet<string>;
  readonly interfaces: readonly DatapathInterface[];
  /** Null: no filter (Neutron filters). An array, even empty, is a default drop. */
  readonly allowed: readonly AllowedSources[] | null;
}

export interface ApplyReport {
  /** Map writes by map name, so that a change of one member can be seen to cost only its pool. */
  readonly writes: Readonly<Record<string, number>>;
  readonly hooks: readonly { interface: string; hook: 'xdp' | 'tc'; reason: string }[];
}

export interface MemberCounters {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly flows: number;
  readonly open: number;
  readonly refusals: number;
}

/** Totals since the maps were first made; they never go backwards, also not when a member leaves. */
export interface ListenerCounters extends MemberCounters {
  readonly refusedAcl: number;
  readonly refusedLimit: number;
  readonly refusedNoMember: number;
  readonly refusedNoPort: number;
  readonly refusedTableFull: number;
  readonly droppedGuard: number;
  readonly reselected: number;
  /** By pool id, then member id. */
  readonly pools: Readonly<Record<string, Readonly<Record<string, MemberCounters>>>>;
}

export interface Counters {
  readonly listeners: Readonly<Record<string, ListenerCounters>>;
  /** Packets by enum reason, lower case without the prefix, e.g. `not_ours`. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly eventsLost: number;
  readonly log?: FlowLogCounters;
}

export interface FlowRecord {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly client: string;
  readonly vip: string;
  readonly snat: string;
  readonly member: string;
  readonly listenerId: string | null;
  readonly memberId: string | null;
  readonly state: 'half-open' | 'open' | 'closing' | 'closed';
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface FlowEvent extends Omit<FlowRecord, 'state' | 'idleSeconds'> {
  readonly type: 'open' | 'close' | 'expire';
  readonly reset: boolean;
}

export interface FlowFilter {
  readonly listenerId?: string;
  readonly memberId?: string;
  readonly client?: string;
  readonly limit?: number;
}

export interface StartReport {
  /** Pinned maps taken over from an earlier agent, or made anew. */
  readonly adopted: boolean;
  readonly flowCapacity: number;
}

export interface Dataplane {
  start(): Promise<StartReport>;
  /** Brings the maps and hooks to `wanted`, writing differences only. Idempotent. Serialised by the caller. */
  apply(wanted: WantedState): Promise<ApplyReport>;
  /** Routes, neighbours, links or addresses changed: next hops are looked up anew. */
  bumpGeneration(): void;
  counters(): Counters;
  flows(filter: FlowFilter): FlowRecord[];
  /** Asks for flow events until the returned function is called. */
  follow(onEvents: (events: readonly FlowEvent[]) => void): () => void;
  /** Leaves programs, links and maps in the kernel; only lets go of them. */
  close(): void;
  /** Detaches and unpins everything: for uninstall, demo and tests. */
  remove(): Promise<void>;
}
