// SPDX-License-Identifier: Apache-2.0
// The whole path over two veth pairs, client - amphora - member: CPU time per 64-byte datagram from the
// generator to the sink, ours beside nftables' DNAT and masquerade in the same minute.
import { readFileSync } from 'node:fs';
import { packIndex } from '../../agent/core/plan/encode.js';
import { addon, type BpfObject } from '../../native/index.js';
import type { Hook } from '../bpf/support/board-spec.js';
import { Switchboard } from '../bpf/support/switchboard.js';
import { GATEWAY_MAC, memberMac, PORTS, VIP4 } from '../bpf/support/world.js';
import { ipBytes } from '../support/address.js';
import { buildPacket } from '../support/packet.js';
import { FarEnd } from './far-end.js';
import { addNat, attachTc, setPolled } from './middle.js';
import { LINES, type Row } from './subjects.js';

const MEMBER = '10.1.0.11';
const CLIENT = '100.64.0.0';
const VIP_PORT = 53;
const MEMBER_PORT = 5353;
const FIRST_PORT = 10000;
const CPU = 1;
/** Share of a batch that must arrive. */
const WHOLE = 0.99;

export interface PathOptions {
  readonly generator: string;
  readonly program: string;
  readonly objects: string;
  readonly packets: number;
  readonly batches: number;
}

interface Rows {
  readonly rows: readonly Row[];
  /** Ours by XDP over nftables, both with the generator's own cost taken off, at 1 flow. */
  readonly ratio: number;
  /** The same with the generator in both. */
  readonly grossRatio: number;
}

export class VethPath {
  readonly #object: BpfObject;
  readonly #programId: string;

  private constructor(
    readonly options: PathOptions,
    readonly client: FarEnd,
    readonly member: FarEnd,
  ) {
    this.#object = addon.openObject(options.generator);
    const fd = this.#object.programFd('generate');
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
    this.#programId = /prog_id:\s*(\d+)/.exec(info)?.[1] ?? '';
  }

  /** The world must have been built. */
  static async open(options: PathOptions): Promise<VethPath> {
    const client = await FarEnd.open({
      port: 'front',
      mac: GATEWAY_MAC,
      address: '10.0.0.1',
      gateway: '10.0.0.2',
      gatewayMac: PORTS.front.mac,
    });
    const member = await FarEnd.open({
      port: 'back',
      mac: memberMac(MEMBER),
      address: MEMBER,
      gateway: '10.1.0.2',
      gatewayMac: PORTS.back.mac,
    });
    return new VethPath(options, client, member);
  }

  measure(flows: readonly number[]): Rows {
    const empty = flows.map((count) =>
      this.#batches(`generator alone, ${count} flows`, count, true),
    );
    const xdp = this.#ours('xdp', flows);
    const tc = this.#ours('tc', flows);
    const nft = this.#nftables(flows);
    const [none, ours, theirs] = [empty[0], xdp[0], nft[0]];
    if (!none || !ours || !theirs) throw new Error('nothing was measured');
    return {
      rows: [...empty, ...xdp, ...tc, ...nft],
      ratio: (ours.minimum - none.minimum) / (theirs.minimum - none.minimum),
      grossRatio: ours.minimum / theirs.minimum,
    };
  }

  close(): void {
    this.#object.close();
    this.client.close();
    this.member.close();
  }

  #ours(hook: Hook, flows: readonly number[]): Row[] {
    const sizes = { lines: LINES, maxEntries: { flows4: 131_072, half4: 65_536 } };
    const board = new Switchboard(hook, this.options.objects, sizes);
    // XDP polls by itself; elsewhere the generator's frames need somebody who does.
    if (hook === 'tc') setPolled('front', true);
    const detachTc = hook === 'tc' ? attachTc(board) : null;
    const dropSinks = hook === 'xdp' ? this.#sinkXdp() : this.#sinkTc();
    try {
      board.reset({
        control: { snat_port_min: 1024, snat_port_max: 65535 },
        listeners: [
          {
            vips: [VIP4],
            protocol: 'udp',
            port: VIP_PORT,
            members: [{ address: MEMBER, port: MEMBER_PORT }],
          },
        ],
      });
      return flows.map((count) => this.#batches(`ours by ${hook}, ${count} flows`, count));
    } finally {
      dropSinks();
      detachTc?.();
      if (hook === 'tc') setPolled('front', false);
      board.close();
    }
  }

  #nftables(flows: readonly number[]): Row[] {
    setPolled('front', true);
    const dropSink = this.#sinkTc();
    const dropNat = addNat({
      protocol: 'udp',
      port: VIP_PORT,
      member: MEMBER,
      memberPort: MEMBER_PORT,
    });
    try {
      return flows.map((count) =>
        this.#batches(`nftables DNAT + masquerade, ${count} flows`, count),
      );
    } finally {
      dropNat();
      dropSink();
      setPolled('front', false);
    }
  }

  /** CPU per packet that arrived. Batches that lost packets, because others had the CPU, do not count. */
  #batches(subject: string, flows: number, drop = false): Row {
    this.#plan(flows, drop);
    this.#generate(Math.max(flows * 4, 100_000));
    const figures: number[] = [];
    let worst = 1;
    for (let i = 0; i < this.options.batches * 3 && figures.length < this.options.batches; i += 1) {
      const before = this.#arrived();
      const cpu = this.#generate(this.options.packets);
      const share = drop ? 1 : (this.#arrived() - before) / this.options.packets;
      worst = Math.min(worst, share);
      if (share >= WHOLE) figures.push(cpu / this.options.packets / share);
    }
    figures.sort((x, y) => x - y);
    const [minimum] = figures;
    if (minimum === undefined)
      throw new Error(`${subject}: every batch lost packets, the worst ${1 - worst} of them`);
    return {
      subject: subject.replace(' 1 flows', ' 1 flow'),
      minimum,
      median: figures[figures.length >> 1] ?? minimum,
      runs: figures.length,
    };
  }

  #generate(count: number): number {
    const args = [this.#programId, String(count), String(CPU)];
    const answer: unknown = JSON.parse(this.client.run(this.options.program, args));
    if (typeof answer !== 'object' || answer === null || !('cpu_ns' in answer))
      throw new Error('the generator said nothing');
    return Number(answer.cpu_ns);
  }

  #plan(flows: number, drop: boolean): void {
    const frame = buildPacket({
      ethernet: { source: GATEWAY_MAC, destination: PORTS.front.mac },
      ip: { source: '0.0.0.0', destination: VIP4, checksum: 0 },
      transport: { kind: 'udp', source: 0, destination: VIP_PORT, checksum: 0 },
      payload: Buffer.alloc(22, 0x61),
    });
    const record = Buffer.alloc(96);
    record.set(frame);
    record.writeUInt32LE(addon.ifindexByName(this.client.device, this.client.netns), 64);
    record.writeUInt32LE(flows - 1, 68);
    record.writeUInt32LE(ipBytes(CLIENT).readUInt32BE(0), 72);
    record.writeUInt32LE(FIRST_PORT, 76);
    record.writeUInt32LE(sumOf(frame.subarray(14, 34)), 80);
    const pseudo = Buffer.from([...ipBytes(VIP4), 0, 17, 0, 30]);
    record.writeUInt32LE(sumOf(Buffer.concat([pseudo, frame.subarray(34)])), 84);
    record.writeUInt32LE(drop ? 1 : 0, 88);
    this.#object.map('plan').update(packIndex(0), record);
  }

  #arrived(): number {
    const counts = Buffer.from(this.#object.map('arrived').lookup(packIndex(0)) ?? []);
    let sum = 0;
    for (let at = 0; at < counts.length; at += 8) sum += Number(counts.readBigUInt64LE(at));
    return sum;
  }

  #sinkXdp(): () => void {
    const { netns, device } = this.member;
    const ifindex = addon.ifindexByName(device, netns);
    const programFd = this.#object.programFd('sink_xdp');
    const link = addon.attachXdp({ programFd, ifindex, netns, mode: 'native' });
    return () => {
      link.detach();
      link.close();
    };
  }

  #sinkTc(): () => void {
    const { netns, device } = this.member;
    const where = { ifindex: addon.ifindexByName(device, netns), netns, priority: 1, handle: 1 };
    addon.attachTc({ programFd: this.#object.programFd('sink_tc'), ...where });
    return () => {
      addon.detachTc(where);
    };
  }
}

const sumOf = (bytes: Uint8Array): number => {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2)
    sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
};
