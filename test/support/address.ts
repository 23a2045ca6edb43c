// SPDX-License-Identifier: Apache-2.0
// Addresses as bytes: what packets and raw sockets hold.
import { isIPv4, isIPv6 } from 'node:net';

/** 4 bytes of a dotted quad, or 16 bytes of any IPv6 spelling (with an embedded quad too). Throws on others. */
export const ipBytes = (address: string): Buffer => {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) throw new Error(`not an IP address: ${address}`);
  const [head = '', tail] = address.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  const words = [...left, ...zeros, ...right];
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 255]));
};

/** Text of 4 or 16 bytes; IPv6 as eight groups without compression, for comparing only. */
export const ipText = (bytes: Uint8Array): string => {
  if (bytes.length === 4) return [...bytes].join('.');
  const view = Buffer.from(bytes);
  return Array.from({ length: 8 }, (_, i) => view.readUInt16BE(i * 2).toString(16)).join(':');
};

/** 6 bytes of `02:00:00:00:00:01`. */
export const macBytes = (mac: string): Buffer => {
  const bytes = Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)));
  if (bytes.length !== 6) throw new Error(`not a MAC address: ${mac}`);
  return bytes;
};

export const macText = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');

const groups = (text: string): number[] =>
  text === ''
    ? []
    : text.split(':').flatMap((group) => (isIPv4(group) ? quad(group) : [hex(group)]));

const hex = (group: string): number => Number.parseInt(group, 16);

const quad = (text: string): number[] => {
  const bytes = ipBytes(text);
  return [bytes.readUInt16BE(0), bytes.readUInt16BE(2)];
};
