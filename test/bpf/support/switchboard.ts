// SPDX-License-Identifier: Apache-2.0
// The datapath's object on a bench: loaded without pins, its maps filled from a small description,
// one packet at a time sent through the kernel's test-run.
import { addon, type BpfLink, type BpfMap, type BpfObject } from '../../../native/index.js';
import { PORTS, VIP4, VIP6, type Port } from './world.js';
import { ALGORITHM, LISTENER_FLAG, MEMBER_FLAG, POOL_FLAG, REASONS } from './flags.js';
import type { Algorithm, Reason } from './flags.js';
import * as records from './records.js';

export type Hook = 'xdp' | 'tc';

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

export interface BoardSpec {
  readonly listeners: readonly ListenerSpec[];
  readonly control?: Readonly<Record<string, number>>;
  /** The services' vip_ifindex; `front` when absent, null for "never". */
  readonly vipPort?: Port | null;
  /** More addresses for the local bitmap. */
  readonly local?: readonly string[];
}

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
  readonly #ifindex: Readonly<Record<Port, number>>;

  constructor(
    readonly hook: Hook,
    directory: string,
    maxEntries: Readonly<Record<string, number>> = {},
  ) {
    this.#object = addon.openObject(`${directory}/lb_${hook}.bpf.o`, { maxEntries });
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
      generation: 1,
      snat_port_min: 20000,
      snat_port_max: 29999,
      reselect_stamps: 8,
      suspect_stamps: 40,
      closed_stamps: 234,
      ...spec.control,
      local_bitmap: records.localBitmap([...vips, ...own, ...(spec.local ?? [])]),
    };
    this.map('control').update(key(0), records.CONTROL.pack(control));
    for (const [port, { addresses, mtu }] of Object.entries(PORTS)) {
      const [snat4 = '', snat6 = ''] = addresses.map(withoutPrefix);
      const value = records.INTERFACE.pack({ snat4, snat6, mtu });
      this.map('interfaces').update(key(this.#ifindex[port as Port]), value);
    }
    let member = FIRST_NUMBER;
    spec.listeners.forEach((listener, i) => {
      this.#fillListener(listener, FIRST_NUMBER + i, member, spec.vipPort);
      member += listener.members.length;
    });
  }

  send(frame: Uint8Array, port: Port): Outcome {
    const ifindex = this.#ifindex[port];
    const options =
      this.hook === 'xdp' ? { ingressIfindex: ifindex } : { context: skbContext(ifindex) };
    const result = this.#object.testRun(`lb_${this.hook}`, frame, options);
    const verdict = VERDICTS[this.hook][result.verdict] ?? 'abort';
    return { verdict, code: result.verdict, frame: Buffer.from(result.data) };
  }

  /** Sum over CPUs. */
  reason(name: Reason): number {
    const value = this.map('reasons').lookup(key(REASONS.indexOf(name))) ?? Buffer.alloc(0);
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
      valueSize: records.POOL_SLOT.size,
      maxEntries: slots.length + 1,
      flags: BPF_F_INNER_MAP,
    });
    const head = { member: slots.length, weight: ALGORITHM[algorithm] };
    inner.update(key(0), records.POOL_SLOT.pack(head));
    slots.forEach(([member, weight], i) => {
      inner.update(key(i + 1), records.POOL_SLOT.pack({ member, weight }));
    });
    this.map('pool_slots').setInner(key(pool), inner);
    inner.close();
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
      key(number),
      records.POOL.pack({
        flags: persist ? POOL_FLAG.persist : 0,
        persist_stamps: persist?.stamps ?? 0,
        persist_prefix4: persist?.prefix4 ?? 32,
        persist_prefix6: persist?.prefix6 ?? 128,
      }),
    );
    spec.members.forEach((member, i) => {
      this.map('members').update(
        key(firstMember + i),
        records.MEMBER.pack({
          address: member.address,
          port: member.port ?? 8080,
          flags: member.flags ?? MEMBER_FLAG.present | MEMBER_FLAG.persist,
          connection_limit: member.limit ?? 0,
          listener: number,
          pool: number,
        }),
      );
    });
    const slots = spec.slots ?? spec.members.map((_, i) => [i, 1] as const);
    this.setSlots(
      number,
      spec.algorithm ?? 'roundRobin',
      slots.map(([i, weight]) => [firstMember + i, weight]),
    );
    this.map('listeners').update(
      key(number),
      records.LISTENER.pack({
        flags: (spec.flags ?? LISTENER_FLAG.live) | (spec.allowed ? LISTENER_FLAG.acl : 0),
        pool: number,
        connection_limit: spec.connectionLimit ?? 0,
      }),
    );
    for (const prefix of spec.allowed ?? [])
      this.map('allowed').update(allowedKey(prefix, number), records.U32.pack({ value: 1 }));
    const vip_ifindex = vipPort === null ? 0 : this.#ifindex[vipPort];
    const protocol = PROTOCOL[spec.protocol ?? 'tcp'];
    for (const vip of spec.vips ?? [VIP4, VIP6])
      this.map('services').update(
        records.SERVICE_KEY.pack({ vip, port: spec.port ?? 80, protocol }),
        records.SERVICE.pack({ listener: number, vip_ifindex }),
      );
  }

  #forget(): void {
    for (const name of FORGOTTEN) {
      const map = this.map(name);
      const { keys, count } = map.dump();
      const size = map.info.keySize;
      for (let i = 0; i < count; i += 1) map.delete(keys.slice(i * size, (i + 1) * size));
    }
    for (const name of ZEROED) {
      const map = this.map(name);
      const zero = Buffer.alloc(map.info.valueSize);
      const count = Math.min(map.info.maxEntries, HIGHEST_NUMBER);
      for (let i = 0; i < count; i += 1) map.update(key(i), zero);
    }
    const reasons = this.map('reasons');
    REASONS.forEach((_, i) => {
      reasons.update(key(i), Buffer.alloc(reasons.info.valueSize));
    });
  }
}

export const key = (number: number): Buffer => records.U32.pack({ value: number });

/** struct __sk_buff as far as test-run reads it: ingress_ifindex and ifindex. */
const skbContext = (ifindex: number): Buffer => {
  const context = Buffer.alloc(192);
  context.writeUInt32LE(ifindex, 36);
  context.writeUInt32LE(ifindex, 40);
  return context;
};

const allowedKey = (prefix: string, listener: number): Buffer => {
  const [source = '', bits = ''] = prefix.split('/');
  const length = Number(bits) + (source.includes(':') ? 0 : 96);
  return records.ALLOWED_KEY.pack({ prefixlen: 32 + length, listener, source });
};

const withoutPrefix = (address: string): string => address.split('/')[0] ?? address;
