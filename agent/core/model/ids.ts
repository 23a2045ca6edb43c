// SPDX-License-Identifier: Apache-2.0
// Names that ids travel in. Octavia's are UUIDs, but nothing in the contract promises that.

/** What HAProxy allows in a proxy or server name, and what is safe in a file name. */
const name = /^[A-Za-z0-9_.:-]{1,255}$/;

/** True for a name that can stand in a config, and, having no slash, in a path. */
export const isName = (text: string): boolean => name.test(text) && text !== '.' && text !== '..';

/**
 * True for the id of a load balancer or listener of the API: it becomes part of names of files, sockets and units,
 * so it is a word without dots, and short enough for what is added to it.
 */
export const isObjectId = (text: string): boolean =>
  /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/.test(text);

/** A backend is named `<pool id>:<listener id>` (contract 4.2); other templates may leave the colon out. */
export const splitBackendName = (
  backend: string,
): { poolId: string; listenerId: string | null } => {
  const colon = backend.indexOf(':');
  if (colon < 0) return { poolId: backend, listenerId: null };
  return { poolId: backend.slice(0, colon), listenerId: backend.slice(colon + 1) };
};

/** The inverse of `splitBackendName`: where HAProxy's statistics show the health of a pool's members. */
export const backendName = (poolId: string, listenerId: string): string =>
  `${poolId}:${listenerId}`;

/** A member as the rest of the agent names it: `<pool>:<listener>/<member>`. */
export const memberKey = (poolId: string, listenerId: string, memberId: string): string =>
  `${backendName(poolId, listenerId)}/${memberId}`;
