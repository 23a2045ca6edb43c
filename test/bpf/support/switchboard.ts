// SPDX-License-Identifier: Apache-2.0
// The datapath's object on a bench: loaded without pins, its maps filled from a small description,
// one packet at a time sent through the kernel's test-run.
import { addon, type BpfLink, type BpfMap, type BpfObject } from '../../../native/index.js';
import { addressBytes } from '../../../agent/core/plan/address-bytes.js';
import {
  pack,
  packIndex,
  unpack,
  type StructLayout,
  type StructValues,
} from '../../../agent/core/plan/encode.js';
import { buildPacket, type PacketSpec } from '../../support/packet.js';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import { localBitmap } from './local-bitmap.js';
import { PORTS, VIP4, VIP6, type Port } from './world.js';
export type Hook = 'xdp' | 'tc';

const ALGORITHM = {
  roundRobin: enums.algorithm.ALGORITHM_ROUND_ROBIN,
  leastConnections: enums.algorithm.ALGORITHM_LEAST_CONNECTIONS,
  sourceHash: enums.algorithm.ALGORITHM_SOURCE_HASH,
} as const;
export type Algorithm = keyof typeof ALGORITHM;
type EnumReason = keyof typeof enums.reason;
/** Without the prefix: NOT_OURS, NEW_FLOW ... */
export type Reason = EnumReason extends `REASON_${infer Name}` ? Name : never;

const { MEMBER_PRESENT, MEMBER_PERSIST } = enums.member_flag;
const { LISTENER_LIVE, LISTENER_ACL } = enums.listener_flag;

export interface MemberSpec {
  readonly address: string;
  readonly port?: number;
  readonly limit?: number;
  /** enum member_flag; present and open to persisted clients when absent. */
  readonly flags?: number;
}

export interface ListenerSpec {
  /** VIP4 and VIP6 when absent. */
  readonly vips?: readonly string[];
  readonly protocol?: 'tcp' | 'udp';
  /** 80 when absent. */
  readonly port?: number;
  /** Beside LISTENER_LIVE, which is set when absent or when other bits are given with `live`. */
  readonly flags?: number;
  readonly algorithm?: Algorithm;
  readonly members: readonly MemberSpec[];
  /** The pool's order: index of the member and its weight. Every member once, weight 1, when absent. */
  readonly slots?: readonly (readonly [member: number, weight: number])[];
  readonly connectionLimit?: number;
  /** Prefixes such as 198.51.100.0/24; their presence sets LISTENER_ACL. */
  readonly allowed?: readonly string[];
  readonly persistence?: {
    readonly prefix4?: number;
    readonly prefix6?: number;
    readonly stamps?: number;
  };
}

export interface Sizes {
  /** Per CPU; powers of two. No cache when 0. */
  readonly lines?: { readonly cache: number; readonly recent: number };
  readonly maxEntries?: Readonly<Record<string, number>>;
}

export interface BoardSpec {
  readonly listeners: readonly ListenerSpec[];
  readonly control?: Readonly<Record<string, number>>;
  /** The services' vip_ifindex; `front` when absent, null for "never". */
  readonly vipPort?: Port | null;
  /** More addresses for the local bitmap. */
  readonly local?: readonly string[];
}

type Field = number | bigint | Uint8Array;

export interface Outcome {
  /** `forward` is a redirect or XDP_TX. */
  readonly verdict: 'pass' | 'drop' | 'forward' | 'abort';
  readonly code: number;
  readonly frame: Buffer;
}

const VERDICTS: Readonly<Record<Hook, Readonly<Record<number, Outcome['verdict']>>>> = {
  xdp: { 1: 'drop', 2: 'pass', 3: 'forward', 4: 'forward' },
  tc: { 0: 'pass', 2: 'drop', 7: 'forward' },
};
const BPF_MAP_TYPE_ARRAY = 2;
const BPF_F_INNER_MAP = 1 << 12;
const PROTOCOL = { tcp: 6, udp: 17 } as const;
/** What may remain between cases, and must not. */
const FORGOTTEN = [
  ...['services', 'allowed', 'interfaces', 'flows4', 'flows6', 'half4', 'half6'],
  ...['fragments', 'persistence'],
];
const ZEROED = [
  ...['listeners', 'pools', 'members', 'pool_state', 'member_state', 'listener_state'],
  ...['member_counters', 'listener_counters', 'guard'],
];
/** Numbers of listeners, pools and members start here, so that a zero in the wrong place shows. */
export const FIRST_NUMBER = 3;
const HIGHEST_NUMBER = 40;

export class Switchboard {
  readonly #object: BpfObject;
  readonly #links: BpfLink[] = [];
  #recent: Uint8Array | undefined;
  readonly #sizes: Readonly<Record<string, number>>;
  #control: Readonly<Record<string, number | Uint8Array>> = {};
  #generation = 0;
  readonly #ifindex: Readonly<Record<Port, number>>;

  constructor(
    readonly hook: Hook,
    directory: string,
    { lines = { cache: 256, recent: 1024 }, maxEntries = {} }: Sizes = {},
  ) {
    const cpus = addon.possibleCpus();
    const front = Math.max(1, lines.cache * cpus);
    this.#object = addon.openObject(`${directory}/lb_${hook}.bpf.o`, {
      maxEntries: { cache4: front, cache6: front, recent: lines.recent * cpus, ...maxEntries },
    });
    this.#sizes = {
      cache_mask: Math.max(0, lines.cache - 1),
      cache_cpus: cpus,
      recent_mask: lines.recent - 1,
    };
    const index = (port: Port): number => addon.ifindexByName(port, null);
    this.#ifindex = { front: index('front'), back: index('back'), thin: index('thin') };
    // Test-run with an ingress device wants that device's XDP receive queue, which veth has only under a program.
    const programFd = hook === 'xdp' ? this.#object.programFd('lb_xdp') : null;
    for (const ifindex of Object.values(this.#ifindex))
      if (programFd !== null)
        this.#links.push(addon.attachXdp({ programFd, ifindex, netns: null, mode: 'native' }));
  }

  map(name: string): BpfMap {
    return this.#object.map(name);
  }

  ifindex(port: Port): number {
    return this.#ifindex[port];
  }

  programFd(): number {
    return this.#object.programFd(`lb_${this.hook}`);
  }

  /** Forgets every flow and fills the maps anew. */
  reset(spec: BoardSpec): void {
    this.#forget();
    const vips = spec.listeners.flatMap((listener) => listener.vips ?? [VIP4, VIP6]);
    const own = Object.values(PORTS).flatMap(({ addresses }) => addresses.map(withoutPrefix));
    const control = {
      ...this.#sizes,
      generation: this.#nextGeneration(),
      snat_port_min: 20000,
      snat_port_max: 29999,
      reselect_stamps: 8,
      suspect_stamps: 40,
      closed_stamps: 234,
      ...spec.control,
      local_bitmap: localBitmap([...vips, ...own, ...(spec.local ?? [])]),
    };
    this.#control = control;
    this.map('control').update(packIndex(0), pack(structs.control, control));
    for (const [port, { addresses, mtu }] of Object.entries(PORTS)) {
      const [snat4 = '', snat6 = ''] = addresses.map(withoutPrefix);
      const value = pack(structs.interface, {
        snat4: addressBytes(snat4),
        snat6: addressBytes(snat6),
        mtu,
      });
      this.map('interfaces').update(packIndex(this.#ifindex[port as Port]), value);
    }
    let member = FIRST_NUMBER;
    spec.listeners.forEach((listener, i) => {
      this.#fillListener(listener, FIRST_NUMBER + i, member, spec.vipPort);
      member += listener.members.length;
    });
  }

  /** Changes single words of the control record. */
  setControl(words: Readonly<Record<string, number>>): void {
    this.#control = { ...this.#control, ...words };
    this.map('control').update(packIndex(0), pack(structs.control, this.#control));
  }

  /** As the agent does when routes or neighbours have changed. */
  bumpGeneration(): void {
    this.setControl({ generation: this.#nextGeneration() });
  }

  /** `segment`: payload bytes of the segments that a super-packet will be cut into (tc only). */
  send(frame: Uint8Array, port: Port, segment = 0): Outcome {
    const ifindex = this.#ifindex[port];
    const options =
      this.hook === 'xdp' ? { ingressIfindex: ifindex } : { context: skbContext(ifindex, segment) };
    const result = this.#object.testRun(`lb_${this.hook}`, frame, options);
    const verdict = VERDICTS[this.hook][result.verdict] ?? 'abort';
    return { verdict, code: result.verdict, frame: Buffer.from(result.data) };
  }

  /** Sum over CPUs. */
  reason(name: Reason): number {
    const value =
      this.map('reasons').lookup(packIndex(enums.reason[`REASON_${name}`])) ?? Buffer.alloc(0);
    let sum = 0;
    for (let at = 0; at + 8 <= value.length; at += 8)
      sum += Number(Buffer.from(value).readBigUInt64LE(at));
    return sum;
  }

  /** Replaces one pool's order, as the agent does. */
  setSlots(
    pool: number,
    algorithm: Algorithm,
    slots: readonly (readonly [member: number, weight: number])[],
  ): void {
    const inner = addon.createMap({
      type: BPF_MAP_TYPE_ARRAY,
      name: 'pool_slot',
      keySize: 4,
      valueSize: structs.pool_slot.size,
      maxEntries: slots.length + 1,
      flags: BPF_F_INNER_MAP,
    });
    const head = { member: slots.length, weight: ALGORITHM[algorithm] };
    inner.update(packIndex(0), pack(structs.pool_slot, head));
    slots.forEach(([member, weight], i) => {
      inner.update(packIndex(i + 1), pack(structs.pool_slot, { member, weight }));
    });
    this.map('pool_slots').setInner(packIndex(pool), inner);
    inner.close();
  }

  /** Writes one member's record. */
  setMember(number: number, member: MemberSpec, pool: number): void {
    this.map('members').update(
      packIndex(number),
      pack(structs.member, {
        address: addressBytes(member.address),
        port: member.port ?? 8080,
        flags: member.flags ?? MEMBER_PRESENT | MEMBER_PERSIST,
        connection_limit: member.limit ?? 0,
        listener: pool,
        pool,
      }),
    );
  }

  removeServices(): void {
    clear(this.map('services'));
  }

  /** A record of an array; for per-CPU ones the sum of each field over the CPUs. */
  counters<L extends StructLayout>(map: string, layout: L, number: number): StructValues<L> {
    const bytes = this.map(map).lookup(packIndex(number)) ?? new Uint8Array();
    const sums: Record<string, Field> = {};
    for (let at = 0; at + layout.size <= bytes.length; at += Math.ceil(layout.size / 8) * 8)
      for (const [name, value] of Object.entries<Field>(unpack(layout, bytes, at)))
        sums[name] = added(sums[name], value);
    return sums as StructValues<L>;
  }

  /** The frame with zeros behind it, as Ethernet pads short ones. */
  sendPadded(spec: PacketSpec, port: Port, length: number): Outcome {
    const frame = buildPacket(spec);
    return this.send(Buffer.concat([frame, Buffer.alloc(length - frame.length)]), port);
  }

  flowCount(map: 'flows4' | 'flows6' | 'half4' | 'half6'): number {
    return this.map(map).dump().count;
  }

  close(): void {
    for (const link of this.#links) {
      link.detach();
      link.close();
    }
    this.#object.close();
  }

  #fillListener(
    spec: ListenerSpec,
    number: number,
    firstMember: number,
    vipPort: Port | null = 'front',
  ): void {
    const persist = spec.persistence;
    this.map('pools').update(
      packIndex(number),
      pack(structs.pool, {
        flags: persist ? enums.pool_flag.POOL_PERSIST : 0,
        persist_stamps: persist?.stamps ?? 0,
        persist_prefix4: persist?.prefix4 ?? 32,
        persist_prefix6: persist?.prefix6 ?? 128,
      }),
    );
    spec.members.forEach((member, i) => {
      this.setMember(firstMember + i, member, number);
    });
    const slots = spec.slots ?? spec.members.map((_, i) => [i, 1] as const);
    this.setSlots(
      number,
      spec.algorithm ?? 'roundRobin',
      slots.map(([i, weight]) => [firstMember + i, weight]),
    );
    this.map('listeners').update(
      packIndex(number),
      pack(structs.listener, {
        flags: (spec.flags ?? LISTENER_LIVE) | (spec.allowed ? LISTENER_ACL : 0),
        pool: number,
        connection_limit: spec.connectionLimit ?? 0,
      }),
    );
    for (const prefix of spec.allowed ?? [])
      this.map('allowed').update(allowedKey(prefix, number), packIndex(1));
    const vip_ifindex = vipPort === null ? 0 : this.#ifindex[vipPort];
    const protocol = PROTOCOL[spec.protocol ?? 'tcp'];
    for (const vip of spec.vips ?? [VIP4, VIP6])
      this.map('services').update(
        pack(structs.service_key, { vip: addressBytes(vip), port: spec.port ?? 80, protocol }),
        pack(structs.service, { listener: number, vip_ifindex }),
      );
  }

  /** Never the same twice: whatever is cached under an older one is dead. */
  #nextGeneration(): number {
    this.#generation += 1;
    return this.#generation;
  }

  #forget(): void {
    for (const name of FORGOTTEN) clear(this.map(name));
    this.#recent ??= this.map('recent').mmap();
    this.#recent.fill(0);
    for (const name of ZEROED) {
      const map = this.map(name);
      const zero = Buffer.alloc(map.info.valueSize);
      const count = Math.min(map.info.maxEntries, HIGHEST_NUMBER);
      for (let i = 0; i < count; i += 1) map.update(packIndex(i), zero);
    }
    const reasons = this.map('reasons');
    for (let i = 0; i < enums.reason.REASON_MAX; i += 1)
      reasons.update(packIndex(i), Buffer.alloc(reasons.info.valueSize));
  }
}

const clear = (map: BpfMap): void => {
  const { keys, count } = map.dump();
  const size = map.info.keySize;
  for (let i = 0; i < count; i += 1) map.delete(keys.slice(i * size, (i + 1) * size));
};

const added = (sum: Field | undefined, value: Field): Field => {
  if (typeof sum === 'bigint' && typeof value === 'bigint') return sum + value;
  return typeof sum === 'number' && typeof value === 'number' ? sum + value : value;
};

/** struct __sk_buff as far as test-run reads it: ingress_ifindex, ifindex and gso_size. */
const skbContext = (ifindex: number, segment: number): Buffer => {
  const context = Buffer.alloc(192);
  context.writeUInt32LE(ifindex, 36);
  context.writeUInt32LE(ifindex, 40);
  context.writeUInt32LE(segment, 176);
  return context;
};

const allowedKey = (prefix: string, listener: number): Uint8Array => {
  const [source = '', bits = ''] = prefix.split('/');
  const length = Number(bits) + (source.includes(':') ? 0 : 96);
  return pack(structs.allowed_key, {
    prefixlen: 32 + length,
    listener,
    source: addressBytes(source),
  });
};

const withoutPrefix = (address: string): string => address.split('/')[0] ?? address;
