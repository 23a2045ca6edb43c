// SPDX-License-Identifier: Apache-2.0
// The datapath's object on a bench: loaded without pins, its maps filled from a small description,
// one packet at a time sent through the kernel's test-run.
import { addon, type BpfLink, type BpfMap, type BpfObject } from '../../../native/index.js';
import { addressBytes } from '../../../agent/core/plan/address-bytes.js';
import {
  pack,
  packIndex,
  type StructLayout,
  type StructValues,
} from '../../../agent/core/plan/encode.js';
import { buildPacket, type PacketSpec } from '../../support/packet.js';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import { clear, emptyMaps, summed } from './board-maps.js';
import {
  allowedKey,
  listenerRecord,
  memberRecord,
  poolRecord,
  serviceKey,
} from './board-records.js';
import { ALGORITHM, FIRST_NUMBER } from './board-spec.js';
import type {
  Algorithm,
  BoardSpec,
  Hook,
  ListenerSpec,
  MemberSpec,
  Reason,
  Sizes,
} from './board-spec.js';
import { localBitmap } from './local-bitmap.js';
import { PORTS, VIP4, VIP6, type Port } from './world.js';
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

  mapNames(): string[] {
    return this.#object.mapNames();
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
    this.map('members').update(packIndex(number), memberRecord(member, pool));
  }

  removeServices(): void {
    clear(this.map('services'));
  }

  /** A record of an array; for per-CPU ones the sum of each field over the CPUs. */
  counters<L extends StructLayout>(map: string, layout: L, number: number): StructValues<L> {
    return summed(this.map(map), layout, number);
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
    this.map('pools').update(packIndex(number), poolRecord(spec));
    spec.members.forEach((member, i) => {
      this.setMember(firstMember + i, member, number);
    });
    const slots = spec.slots ?? spec.members.map((_, i) => [i, 1] as const);
    this.setSlots(
      number,
      spec.algorithm ?? 'roundRobin',
      slots.map(([i, weight]) => [firstMember + i, weight]),
    );
    this.map('listeners').update(packIndex(number), listenerRecord(spec, number));
    for (const prefix of spec.allowed ?? [])
      this.map('allowed').update(allowedKey(prefix, number), packIndex(1));
    const vip_ifindex = vipPort === null ? 0 : this.#ifindex[vipPort];
    const service = pack(structs.service, { listener: number, vip_ifindex });
    for (const vip of spec.vips ?? [VIP4, VIP6])
      this.map('services').update(serviceKey(spec, vip), service);
  }

  /** Never the same twice: whatever is cached under an older one is dead. */
  #nextGeneration(): number {
    this.#generation += 1;
    return this.#generation;
  }

  #forget(): void {
    emptyMaps((name) => this.map(name));
    this.#recent ??= this.map('recent').mmap();
    this.#recent.fill(0);
  }
}

/** struct __sk_buff as far as test-run reads it: ingress_ifindex, ifindex and gso_size. */
const skbContext = (ifindex: number, segment: number): Buffer => {
  const context = Buffer.alloc(192);
  context.writeUInt32LE(ifindex, 36);
  context.writeUInt32LE(ifindex, 40);
  context.writeUInt32LE(segment, 176);
  return context;
};

const withoutPrefix = (address: string): string => address.split('/')[0] ?? address;
