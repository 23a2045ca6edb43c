// SPDX-License-Identifier: Apache-2.0
// The kernel's own word on the datapath of a test's amphora VM: the pinned maps, read beside the agent.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { addon } from '../../native/index.js';
import type { AmphoraVm } from './amphora-vm.js';
import type { DatapathRecords, Records } from './datapath-view.js';
import { run } from './run.js';

const PINS = '/sys/fs/bpf/amphora-xdp';

export interface DatapathSnapshot extends DatapathRecords {
  /** Kernel's ids of the pools' tables. */
  readonly innerIds: ReadonlySet<number>;
}

/** Of the one layout that is pinned. */
const pinDirectory = (vm: AmphoraVm): string => {
  const directory = vm.path(PINS);
  const [layout] = readdirSync(directory).filter((name) => /^v\d+-/.test(name));
  if (layout === undefined) throw new Error(`no maps in ${directory}`);
  return join(directory, layout);
};

export const readDatapath = async (vm: AmphoraVm): Promise<DatapathSnapshot> => {
  const directory = pinDirectory(vm);
  const read = (name: string): Records => readMap(join(directory, name));
  const outer = [...read('pool_slots')].map(([pool, id]): [number, number] => [
    Buffer.from(pool, 'hex').readUInt32LE(),
    Buffer.from(id).readUInt32LE(),
  ]);
  const tables = await readInner(outer.map(([, id]) => id));
  return {
    services: read('services'),
    listeners: read('listeners'),
    pools: read('pools'),
    members: read('members'),
    slots: new Map(outer.map(([pool], index) => [pool, tables[index] ?? new Uint32Array()])),
    innerIds: new Set(outer.map(([, id]) => id)),
  };
};

const readMap = (path: string): Records => {
  const map = addon.openPinnedMap(path);
  try {
    const { keys, values, count } = map.dump();
    const { keySize, valueSize } = map.info;
    return new Map(
      Array.from({ length: count }, (_, i) => [
        Buffer.from(keys.subarray(i * keySize, (i + 1) * keySize)).toString('hex'),
        values.slice(i * valueSize, (i + 1) * valueSize),
      ]),
    );
  } finally {
    map.close();
  }
};

interface Dumped {
  readonly output: readonly { readonly value: readonly string[] }[];
}

/** All in one process: a table is found by its number only, and its user may swap it meanwhile. */
const readInner = async (ids: readonly number[]): Promise<Uint32Array[]> => {
  if (ids.length === 0) return [];
  const input = ids.map((id) => `map dump id ${id}\n`).join('');
  const text = await run('bpftool', ['-j', 'batch', 'file', '-'], { input });
  return (JSON.parse(text) as Dumped[]).map(({ output }) => {
    const bytes = Uint8Array.from(output.flatMap(({ value }) => value.map(Number)));
    return new Uint32Array(bytes.buffer);
  });
};
