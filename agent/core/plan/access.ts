// SPDX-License-Identifier: Apache-2.0
// Sources that a listener accepts -> keys of the `allowed` trie (contract 5.8).
import type { AllowedSources } from '../model/dataplane.js';
import { addressBytes, familyOf, maskBytes } from './address-bytes.js';
import { pack } from './encode.js';
import { structs } from './layout.gen.js';
import type { Part } from './parts.js';

const LISTENER_BITS = 32;
const MAPPED_BITS = 96;

const key = (listener: number, bits: number, source: Uint8Array): Uint8Array =>
  pack(structs.allowed_key, {
    prefixlen: LISTENER_BITS + bits,
    listener,
    source: maskBytes(source, bits),
  });

const cidrKey = (listener: number, cidr: string): Uint8Array => {
  const [address = '', prefix] = cidr.split('/');
  const v4 = familyOf(address) === 4;
  const bits = prefix === undefined ? (v4 ? 32 : 128) : Number(prefix);
  return key(listener, v4 ? bits + MAPPED_BITS : bits, addressBytes(address));
};

const isAnyone = (cidr: string | null): boolean => cidr === null || cidr === '0.0.0.0/0';

/** Trie keys of one part under its listener number. */
export const allowedKeys = (
  part: Part,
  listener: number,
  allowed: readonly AllowedSources[],
): Uint8Array[] => {
  const ports = new Set(part.vips.map(({ port }) => port));
  const { protocol: own } = part.listener;
  const protocol = own === 'UDP' || own === 'SCTP' ? own : 'TCP';
  return allowed
    .filter((rule) => rule.protocol === protocol && ports.has(rule.port))
    .map(({ cidr }) =>
      cidr === null || isAnyone(cidr)
        ? key(listener, 0, new Uint8Array(16))
        : cidrKey(listener, cidr),
    );
};
