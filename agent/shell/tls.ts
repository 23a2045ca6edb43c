// SPDX-License-Identifier: Apache-2.0
// The agent's certificate pair: as the files are at each handshake, or the last pair that was good.
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { textOf } from '../errors.js';

/** What tls.Server.setSecureContext wants, and nothing that can be half new and half old. */
export type PairOptions = Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> & {
  readonly minVersion: 'TLSv1.2';
};

export interface PairFiles {
  /** Certificate, then key, in one PEM file (contract 2.1). */
  readonly cert: string;
  /** CAs of the controller's client certificate. */
  readonly ca: string;
}

/**
 * Returns the options when the files changed since the last call and form a working pair, else null.
 * Synchronous on purpose: it runs between accept and the handshake, so that a rotated certificate serves
 * the very next connection (contract 2.4). A broken file is reported once and leaves the last pair in use.
 */
export const watchPair = (
  files: PairFiles,
  report: (error: unknown) => void,
): (() => PairOptions | null) => {
  let seen = '';
  return () => {
    const stamp = [files.cert, files.ca].map(stampOf).join();
    if (stamp === seen) return null;
    seen = stamp;
    try {
      return loadPair(files);
    } catch (error) {
      report(error);
      return null;
    }
  };
};

/** Reads and proves the pair: throws when a file is missing, half-written, or the key does not match. */
export const loadPair = (files: PairFiles): PairOptions => {
  const pem = readFileSync(files.cert);
  const options = {
    cert: pem,
    key: pem,
    ca: readFileSync(files.ca),
    minVersion: 'TLSv1.2', // the controller speaks exactly this one (contract 2.3); 1.3 comes on top
  } as const;
  createSecureContext(options);
  return options;
};

/** Larger ones are no pair, and their chain would not fit a handshake. */
const MAX_PAIR_BYTES = 64 * 1024;

/** Null for a certificate and its key in one PEM text, else what is wrong with it. */
export const pairFault = (pem: Buffer): string | null => {
  if (pem.length > MAX_PAIR_BYTES) return `more than ${MAX_PAIR_BYTES} bytes`;
  try {
    createSecureContext({ cert: pem, key: pem, minVersion: 'TLSv1.2' });
    return null;
  } catch (error) {
    return textOf(error);
  }
};

const stampOf = (path: string): string => {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}` : 'missing';
};
