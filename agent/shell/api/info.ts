// SPDX-License-Identifier: Apache-2.0
// Who is there: discovery, info and details (contract 1.5, 1-3).
import type { Amphora } from '../../amphora.js';
import { type Versions, readMachine, readVersions } from '../host.js';
import type { NetworkCounters } from '../network.js';
import { type Route, answer } from './routes.js';

export interface InfoOptions {
  readonly haproxyCmd: string;
  readonly networkCounters: () => Promise<NetworkCounters>;
  readonly haproxyCount: () => Promise<number>;
}

export const infoRoutes = (amphora: Amphora, options: InfoOptions): readonly Route[] => {
  const versions = remember(() => readVersions(options.haproxyCmd));
  return [
    { method: 'GET', path: '/', handle: () => answer(200, { api_version: '1.0' }) },
    { method: 'GET', path: '/1.0/info', handle: async () => answer(200, await versions()) },
    {
      method: 'GET',
      path: '/1.0/details',
      handle: async () => {
        const committed = amphora.snapshot().committed;
        const listeners = await amphora.uploadedListeners();
        return answer(200, {
          ...(await versions()),
          networks: await options.networkCounters().catch(() => ({})),
          active: true,
          haproxy_count: await options.haproxyCount().catch(() => 0),
          ...(await readMachine()),
          topology: 'SINGLE',
          topology_status: 'OK',
          listeners: listeners.map(({ id }) => id).sort(),
          packages: {},
          lvs_listener_process_count: committed.filter(({ kind }) => kind === 'lvs').length,
        });
      },
    },
  ];
};

/** Packages of an image do not change, and asking dpkg takes longer than a health check may wait. */
const remember = (read: () => Promise<Versions>): (() => Promise<Versions>) => {
  let known: Promise<Versions> | null = null;
  return () => (known ??= read());
};
