// SPDX-License-Identifier: Apache-2.0
// Addresses as the maps hold them: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.

export type Family = 4 | 6;

/** By the text alone: a colon makes it IPv6. */
export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4);

const parseGroups = (text: string): number[] =>
  text === ''
    ? []
    : text.split(':').flatMap((group) => {
        if (!group.includes('.')) return [Number.parseInt(group, 16)];
        const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
        return [(a << 8) | b, (c << 8) | d];
      });

const expand = (address: string): number[] => {
  const [head = '', tail] = address.split('::');
  const left = parseGroups(head);
  if (tail === undefined) return left;
  const right = parseGroups(tail);
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
};

/** Bytes of a valid address text. Validity is the business of the parser that made the address. */
export const addressBytes = (address: string): Uint8Array => {
  const groups = expand(familyOf(address) === 4 ? `::ffff:${address}` : address);
  const bytes = new Uint8Array(16);
  groups.forEach((group, index) => {
    bytes[index * 2] = group >> 8;
    bytes[index * 2 + 1] = group & 0xff;
  });
  return bytes;
};

const isMapped = (bytes: Uint8Array): boolean =>
  bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;

const longestZeroRun = (groups: readonly number[]): { start: number; length: number } => {
  let best = { start: -1, length: 1 }; // RFC 5952 4.2.2: a single zero group is not shortened
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
};

const ipv6Text = (groups: readonly number[]): string => {
  const hex = groups.map((group) => group.toString(16));
  const { start, length } = longestZeroRun(groups);
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
};

/** Canonical text of 16 bytes: dotted quad for mapped addresses, else RFC 5952. */
export const addressText = (bytes: Uint8Array): string => {
  if (isMapped(bytes)) return bytes.subarray(12, 16).join('.');
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0),
  );
  return ipv6Text(groups);
};

/** The bytes with everything behind the first `bits` bits zero. */
export const maskBytes = (bytes: Uint8Array, bits: number): Uint8Array =>
  bytes.map((byte, index) => byte & ~(0xff >> Math.min(8, Math.max(0, bits - index * 8))));

/** `a.b.c.d:port` or `[v6]:port`. */
export const endpointText = (bytes: Uint8Array, port: number): string =>
  isMapped(bytes) ? `${addressText(bytes)}:${port}` : `[${addressText(bytes)}]:${port}`;
