// SPDX-License-Identifier: Apache-2.0
// The addon's types and its only loader. No policy here: a method is one libbpf call and its error.
import { createRequire } from 'node:module';

/**
 * What every call throws that the kernel or libbpf refuses: `errno` is positive, `code` its name, `tried` the call and
 * its object. A closed handle is EBADF. Arguments of a wrong type or size are TypeError and RangeError instead.
 */
export interface NativeError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly tried: string;
}

export interface OpenOptions {
  /**
   * bpffs directory: maps found there under their own name are reused, others are pinned there after the load. A pinned
   * map of another type, key size, value size or flags is EEXIST, naming map and difference; one of other max_entries
   * is reused and keeps its size. A failure leaves no pin of this call behind. Absent: nothing is pinned.
   */
  readonly pinDirectory?: string;
  /** max_entries by map name; names that the object lacks are an error. */
  readonly maxEntries?: Readonly<Record<string, number>>;
  /** Maps that must neither be reused from nor pinned to the directory. */
  readonly unpinned?: readonly string[];
  /** Load XDP programs with BPF_F_XDP_HAS_FRAGS. */
  readonly xdpFrags?: boolean;
  /** Make the maps and leave the programs out: `programFd` of each is ENOENT. */
  readonly mapsOnly?: boolean;
  /** Initial values of `const volatile` globals, by symbol name; packed as the symbol's size wants. */
  readonly constants?: Readonly<Record<string, Uint8Array>>;
}

export interface TestRunOptions {
  readonly repeat?: number;
  /** Interface that the packet pretends to have come in on (XDP: a context is passed). 0 or absent: none. */
  readonly ingressIfindex?: number;
  /** Taken as it is in place of the context that `ingressIfindex` makes. A syscall program's own. */
  readonly context?: Uint8Array;
  /** Namespace to run in, whose interfaces `ingressIfindex` counts. Absent: the caller's own. */
  readonly netns?: string;
}

export interface TestRunResult {
  readonly verdict: number;
  readonly data: Uint8Array;
  readonly context: Uint8Array;
  /** Average of the repeats, as the kernel reports it. */
  readonly nanoseconds: number;
}

export interface MapInfo {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  /** As user space sees it: per-CPU maps hold `possibleCpus` values, each rounded up to 8 bytes. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly id: number;
  readonly reused: boolean;
}

export interface BpfMap {
  readonly info: MapInfo;
  /** Packed value, or null when the key is absent. */
  lookup(key: Uint8Array): Uint8Array | null;
  /** flags: 0 any, 1 no-exist, 2 exist. */
  update(key: Uint8Array, value: Uint8Array, flags?: number): void;
  /** True when the key was there. */
  delete(key: Uint8Array): boolean;
  /** `count` packed records each. Returns how many were written. Falls back to single updates where the kernel has no batch. */
  updateBatch(keys: Uint8Array, values: Uint8Array, flags?: number): number;
  /** Returns how many were there and are gone; absent keys are not an error. */
  deleteBatch(keys: Uint8Array): number;
  /**
   * A slice of the map: pass null first, then the returned cursor; cursor null means the end.
   * Falls back to get-next-key and lookup where the kernel has no batch for the type.
   */
  readBatch(
    cursor: Uint8Array | null,
    limit: number,
  ): { keys: Uint8Array; values: Uint8Array; count: number; cursor: Uint8Array | null };
  /** Everything, in one answer. */
  dump(): { keys: Uint8Array; values: Uint8Array; count: number };
  /** Writes `inner`'s fd as the value of a map-in-map. */
  setInner(key: Uint8Array, inner: BpfMap): void;
  /** The same for many, packed keys: one wait for the kernel's readers instead of one each (from 6.8 on). Returns how many. */
  setInners(keys: Uint8Array, inners: readonly BpfMap[]): number;
  /** Live memory of a BPF_F_MMAPABLE array, values rounded up to 8 bytes. Empty after close. */
  mmap(): Uint8Array;
  pin(path: string): void;
  close(): void;
}

/** Unpinned, the program is detached by close. */
export interface BpfLink {
  /** As of now: 0 when the interface has gone or the link is detached. */
  readonly ifindex: number;
  /** Replaces the program atomically; no packet is missed. */
  update(programFd: number): void;
  pin(path: string): void;
  detach(): void;
  close(): void;
}

/** Its descriptors; what is pinned or attached outlives it. */
export interface BpfObject {
  /** The same handle each time; closed with the object. */
  map(name: string): BpfMap;
  mapNames(): string[];
  programNames(): string[];
  programFd(name: string): number;
  testRun(program: string, packet: Uint8Array, options?: TestRunOptions): TestRunResult;
  close(): void;
}

/** Delivers until closed; does not keep the process alive. */
export interface RingBuffer {
  /** No more deliveries, and no more work, until resume(); records stay in the kernel's ring. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface InnerMapSpec {
  readonly type: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

export interface Addon {
  /** Opens, sizes, loads. Throws with the verifier's last words in the message when loading fails. */
  openObject(path: string, options?: OpenOptions): BpfObject;
  createMap(spec: InnerMapSpec): BpfMap;
  openPinnedMap(path: string): BpfMap;
  openPinnedLink(path: string): BpfLink;
  /** mode: native, skb (generic) or any. `netns` is a path such as /var/run/netns/x; null: the caller's own. */
  attachXdp(options: {
    programFd: number;
    ifindex: number;
    netns: string | null;
    mode: 'native' | 'skb' | 'any';
  }): BpfLink;
  /** Attaches to clsact ingress (creates clsact if missing); a second call with the same priority and handle replaces. */
  attachTc(options: {
    programFd: number;
    ifindex: number;
    netns: string | null;
    priority: number;
    handle: number;
  }): void;
  /** ENOENT when there is no such filter. clsact stays. */
  detachTc(options: {
    ifindex: number;
    netns: string | null;
    priority: number;
    handle: number;
  }): void;
  /** One entry per record; batches are delivered in one callback. The returned object stops it. */
  openRingBuffer(map: BpfMap, onRecords: (records: Uint8Array[]) => void): RingBuffer;
  /** libbpf's own prints, after the call that caused them. Level 0 warn, 1 info, 2 debug. Null: silence. */
  setLog(callback: ((level: number, text: string) => void) | null): void;
  possibleCpus(): number;
  /** Runs socket()+bind-free ioctl work in a namespace: interface index by name there, or 0. */
  ifindexByName(name: string, netns: string | null): number;
  /** Opens a socket of the given family/type/protocol inside the namespace and returns its fd (for tests and gratuitous ARP). */
  socketInNetns(options: { netns: string; family: number; type: number; protocol: number }): number;
  /** Sends whole Ethernet frames out of an interface of the namespace. Returns how many. */
  sendFrames(options: { netns: string; ifindex: number; frames: readonly Uint8Array[] }): number;
  /**
   * Sends datagrams, laid end to end in `bytes`, to the Unix socket at `path`, on a thread of its own. A receiver whose
   * queue is full is waited for until `timeoutMs` after the call. `code` is the errno's name when not all were sent.
   */
  sendDatagrams(
    path: string,
    bytes: Uint8Array,
    lengths: Uint32Array,
    timeoutMs: number,
  ): Promise<{ readonly sent: number; readonly code: string | null }>;
}

/** The loaded addon. Its path comes from package.json `imports`. */
export const addon = createRequire(import.meta.url)('#addon') as Addon;
