// SPDX-License-Identifier: Apache-2.0
// What seals the store of secrets: a key out of the config drive's random seed, which is nowhere else in the machine,
// and a mark in the store's header by which a later boot knows whether it has the same seed.
import { hkdfSync } from 'node:crypto';

/** What only this machine's boot has. */
export interface BootSecret {
  /** Nova's id of the machine. */
  readonly uuid: string;
  readonly seed: Uint8Array;
}

export interface Seal {
  /** 256 bits in hex: the passphrase of a store. Never on a disk, never in an argument. */
  readonly key: string;
  /** Tells seeds apart, and nothing about the key. */
  readonly mark: string;
}

/** What a store's header says of itself; LUKS2 has two fields for such words, neither of them secret. */
export interface StoreHeader {
  readonly label: string;
  readonly subsystem: string;
}

export type StorePlan =
  | { readonly kind: 'open'; readonly seal: Seal }
  | { readonly kind: 'create'; readonly seal: Seal; readonly salt: Uint8Array }
  /** As `create`; the store that is there was made under a seed that is gone, and nobody will open it any more. */
  | { readonly kind: 'replace'; readonly seal: Seal; readonly salt: Uint8Array }
  | { readonly kind: 'memory'; readonly reason: string };

/** Nova gives 512 bytes; fewer than a key's would be no secret. */
const MIN_SEED_BYTES = 32;
const LABEL = 'amphora-1.';

/**
 * The seed of `latest/meta_data.json`. Each version's directory of a drive has one of its own (Nova draws it per
 * document), so the name matters. Null where there is none that could be a secret.
 */
export const parseBootSecret = (text: string): BootSecret | null => {
  const document: unknown = JSON.parse(text);
  if (typeof document !== 'object' || document === null) return null;
  const { uuid, random_seed: encoded } = document as Record<string, unknown>;
  if (typeof uuid !== 'string' || typeof encoded !== 'string') return null;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return null;
  const seed = Buffer.from(encoded, 'base64');
  return seed.length < MIN_SEED_BYTES ? null : { uuid, seed };
};

/** HKDF-SHA256 (RFC 5869), bound to the machine and to what the bytes are for. */
export const sealOf = ({ uuid, seed }: BootSecret, salt: Uint8Array): Seal => {
  const derive = (purpose: string, bytes: number): Buffer =>
    Buffer.from(
      hkdfSync('sha256', seed, salt, `amphora-xdp sealed store ${purpose} ${uuid}`, bytes),
    );
  return {
    key: derive('key', 32).toString('hex'),
    mark: derive('mark', 16).toString('base64url'),
  };
};

/** Header of a store under `seal`. Both fields of LUKS2 hold 47 characters. */
export const headerOf = ({ mark }: Seal, salt: Uint8Array): StoreHeader => ({
  label: LABEL + Buffer.from(salt).toString('base64url'),
  subsystem: mark,
});

/** Reads what `cryptsetup luksDump` prints. Null where the two fields are not there. */
export const parseHeader = (dump: string): StoreHeader | null => {
  const label = /^Label:\s+(\S+)\s*$/m.exec(dump)?.[1];
  const subsystem = /^Subsystem:\s+(\S+)\s*$/m.exec(dump)?.[1];
  return label === undefined || subsystem === undefined ? null : { label, subsystem };
};

/**
 * What this boot does about the store. `header`: null when there is no store, 'foreign' when the file is none of
 * ours. A store is replaced only where the seed is another; what should open and does not is left for a person.
 */
export const planStore = (
  secret: BootSecret | null,
  header: StoreHeader | 'foreign' | null,
  freshSalt: Uint8Array,
): StorePlan => {
  if (secret === null) return { kind: 'memory', reason: 'the config drive gives no random seed' };
  const create = { seal: sealOf(secret, freshSalt), salt: freshSalt };
  if (header === null) return { kind: 'create', ...create };
  if (header === 'foreign' || !header.label.startsWith(LABEL)) {
    return { kind: 'memory', reason: 'what is in place of the store is something else' };
  }
  const salt = Buffer.from(header.label.slice(LABEL.length), 'base64url');
  const seal = sealOf(secret, salt);
  return seal.mark === header.subsystem ? { kind: 'open', seal } : { kind: 'replace', ...create };
};
