// SPDX-License-Identifier: Apache-2.0
// The image as DIB_AMPHORA_CERTS=sealed makes it, and a look at a machine's disk as its thief has it.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { run } from '../run.js';
import type { Variant } from './image-bed.js';

/** Random as far as anybody can tell, and the same at each run, since the drive is kept with the snapshot. */
export const SEED = Buffer.concat(
  Array.from({ length: 16 }, (_, i) => createHash('sha256').update(`seed ${i}`).digest()),
);

/**
 * Enables the one unit that the variable enables. In a mount namespace of its own, or whoever makes one meanwhile
 * would keep the image mounted.
 */
const seal = async (image: string, into: string): Promise<void> => {
  const raw = `${into}.raw`;
  await run('qemu-img', ['convert', '-O', 'raw', image, raw], { timeoutMs: 600_000 });
  const table = await run('sfdisk', ['--json', raw]);
  const { partitiontable } = JSON.parse(table) as {
    partitiontable: { partitions?: readonly { start: number }[] };
  };
  // Hosts without device-mapper build images without partitions.
  const offset = (partitiontable.partitions?.[0]?.start ?? 0) * 512;
  const script =
    'd=$(mktemp -d) && mount -o "loop,offset=$1" "$0" "$d" && ' +
    'systemctl --quiet --root="$d" enable amphora-seal.service && umount "$d" && rmdir "$d"';
  await run('unshare', ['--mount', 'sh', '-c', script, raw, String(offset)]);
  await run('qemu-img', ['convert', '-O', 'qcow2', raw, into], { timeoutMs: 600_000 });
  rmSync(raw);
};

export const SEALED: Variant = { name: 'sealed', prepare: seal, drive: { seed: SEED } };

/**
 * How often each needle is on a machine's disk, in what was deleted too: the whole of it, as one block after the
 * other. The machine must not run.
 */
export const countOnDisk = async (
  disk: string,
  needles: ReadonlyMap<string, readonly Buffer[]>,
): Promise<Map<string, number>> => {
  const raw = `${disk}.raw`;
  await run('qemu-img', ['convert', '-O', 'raw', disk, raw], { timeoutMs: 600_000 });
  const counts = new Map([...needles.keys()].map((name) => [name, 0]));
  for (const chunk of chunksOf(raw)) {
    if (chunk.equals(NOTHING.subarray(0, chunk.length))) continue;
    for (const [name, pieces] of needles) {
      const found = pieces.filter((piece) => chunk.includes(piece)).length;
      counts.set(name, (counts.get(name) ?? 0) + found);
    }
  }
  rmSync(raw);
  return counts;
};

const CHUNK = 16 * 1024 * 1024;
/** More than a needle has, so that none is cut in two. */
const OVERLAP = 4096;
const NOTHING = Buffer.alloc(CHUNK + OVERLAP);

function* chunksOf(path: string): Generator<Buffer> {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(CHUNK + OVERLAP);
    for (let at = 0; ; at += CHUNK) {
      const bytes = readSync(file, buffer, 0, buffer.length, at);
      if (bytes === 0) return;
      yield buffer.subarray(0, bytes);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * A secret in pieces: an end of a block may cut it anywhere, and one piece would be enough to find where it was
 * left.
 */
export const piecesOf = (secret: Uint8Array | string, bytes = 16): Buffer[] => {
  const all = Buffer.from(secret);
  const pieces: Buffer[] = [];
  for (let at = 0; at + bytes <= all.length; at += bytes) pieces.push(all.subarray(at, at + bytes));
  return pieces;
};
