// SPDX-License-Identifier: Apache-2.0
// The BPF objects: opened with their pins, shared by both hooks, closed together.
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { constants, maps, structs } from '../core/plan/layout.gen.js';
import type { TableSizes } from '../core/plan/sizes.js';
import { addon, type BpfMap, type BpfObject, type OpenOptions } from '../../native/index.js';
import { isBpffs } from './dataplane-bpffs.js';
import type { DataplaneOptions } from './dataplane-options.js';

const REAP_KEYS = 4096;
/** The least that each CPU's list of half-open flows holds. */
const HALF_OPEN_PER_CPU = 4096;
/** Private per-CPU memory of the programs, of no use to the next agent. */
const SCRATCH = { hook: ['scratch', 'scratch_reply'], sys: ['scratch'] };

const maxEntries = ({ cacheLines, recentLines, ...sizes }: TableSizes): Record<string, number> => ({
  ...sizes,
  cache4: cacheLines * addon.possibleCpus(),
  cache6: cacheLines * addon.possibleCpus(),
  recent: recentLines,
  hops: sizes.members,
  // An LRU list per possible CPU, so each has a share.
  half4: Math.max(sizes.half4, HALF_OPEN_PER_CPU * addon.possibleCpus()),
  half6: Math.max(sizes.half6, HALF_OPEN_PER_CPU * addon.possibleCpus()),
  pool_slots: sizes.pools,
  pool_state: sizes.pools,
  member_state: sizes.members,
  member_counters: sizes.members,
  listener_state: sizes.listeners,
  listener_counters: sizes.listeners,
  reap_keys4: REAP_KEYS,
  reap_keys6: REAP_KEYS,
});

/** Maps of another layout are never opened by mistake: version, structs, types and flags are in the directory's name. */
export const layoutDirectory = (pinDirectory: string): string => {
  const shape = createHash('sha256')
    .update(JSON.stringify({ structs, maps }))
    .digest('hex')
    .slice(0, 8);
  return join(pinDirectory, `v${constants.LAYOUT_VERSION}-${shape}`);
};

const objectPath = (name: string, directory: string | undefined): string =>
  directory === undefined
    ? createRequire(import.meta.url).resolve(`#bpf/${name}`)
    : join(directory, name);

/** Program variants that can be attached. */
export type ProgramVariant = 'xdp' | 'xdp-frags' | 'tc';

export class DataplaneMaps {
  readonly directory: string;
  /** Pinned maps of an earlier agent were taken over. */
  readonly adopted: boolean;
  readonly #options: DataplaneOptions;
  readonly #shared: BpfObject;
  readonly #sys: BpfObject;
  readonly #variants = new Map<ProgramVariant, BpfObject>();

  /** Throws a clear error if there is no bpffs, or the addon's when loading fails. */
  constructor(options: DataplaneOptions) {
    this.#options = options;
    const parent = dirname(options.pinDirectory);
    if (!isBpffs(parent))
      throw new Error(
        `${parent} is not a mounted bpffs; mount one there: mount -t bpf bpf ${parent}`,
      );
    this.directory = layoutDirectory(options.pinDirectory);
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    // No programs before there is an interface for them: the verifier takes longer than all maps together.
    this.#shared = this.#open('lb_xdp.bpf.o', { unpinned: SCRATCH.hook, mapsOnly: true });
    this.#sys = this.#open('lb_sys.bpf.o', { unpinned: SCRATCH.sys });
    this.adopted = this.map('flows4').info.reused;
  }

  #open(name: string, options: OpenOptions): BpfObject {
    return addon.openObject(objectPath(name, this.#options.objectDirectory), {
      pinDirectory: this.directory,
      maxEntries: maxEntries(this.#options.sizes),
      ...options,
    });
  }

  map(name: string): BpfMap {
    return this.#shared.map(name);
  }

  /** Loads the variant on its first use. */
  programFd(variant: ProgramVariant): number {
    let object = this.#variants.get(variant);
    if (object === undefined) {
      object = this.#open(variant === 'tc' ? 'lb_tc.bpf.o' : 'lb_xdp.bpf.o', {
        unpinned: SCRATCH.hook,
        xdpFrags: variant === 'xdp-frags',
      });
      this.#variants.set(variant, object);
    }
    return object.programFd(variant === 'tc' ? 'lb_tc' : 'lb_xdp');
  }

  /** Runs a syscall program over `context` and returns what it made of it. */
  runSyscall(program: 'reap' | 'clock', context: Uint8Array): Uint8Array {
    return this.#sys.testRun(program, new Uint8Array(), { context }).context;
  }

  /** Lets go of descriptors; pins, links and attached programs stay. */
  close(): void {
    for (const object of this.#variants.values()) object.close();
    this.#shared.close();
    this.#sys.close();
  }
}
