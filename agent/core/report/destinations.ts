// SPDX-License-Identifier: Apache-2.0
// `controller_ip_port_list`, as the reference reads it (contract 3.2).

export interface Destination {
  /** An address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

/**
 * Splits each entry at its last colon: `192.0.2.5:5555`, `[2001:db8::5]:5555` and `2001:db8::5:5555`. The first
 * entry that cannot be split ends the list, with what stands before it still in use.
 */
export const parseDestinations = (
  entries: readonly string[],
): { readonly destinations: readonly Destination[]; readonly bad: string | null } => {
  const destinations: Destination[] = [];
  for (const entry of entries) {
    const destination = parseDestination(entry);
    if (destination === null) return { destinations, bad: entry };
    destinations.push(destination);
  }
  return { destinations, bad: null };
};

const parseDestination = (entry: string): Destination | null => {
  const [, host, digits] = /^(.+):(\d{1,5})$/.exec(entry.trim()) ?? [];
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) return null;
  return { host: /^\[(.+)\]$/.exec(host)?.[1] ?? host, port };
};
