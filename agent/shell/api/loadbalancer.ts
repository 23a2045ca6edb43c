// SPDX-License-Identifier: Apache-2.0
// Configs: upload, read back, start, stop, reload, list, delete (contract 1.5, 8-14).
import type { Amphora } from '../../amphora.js';
import type { Listener } from '../../core/model/load-balancer.js';
import { decodeConfig } from '../../core/upload.js';
import { AgentError } from '../../errors.js';
import { type CheckOptions, installLvsCheck } from '../checks.js';
import { type Store, md5 } from '../store.js';
import { OK, type Route, answer, param } from './routes.js';

export const loadBalancerRoutes = (
  amphora: Amphora,
  store: Store,
  checks: CheckOptions,
): readonly Route[] => [
  {
    method: 'PUT',
    path: '/1.0/loadbalancer/:amphora/:id/haproxy',
    handle: async (request) => {
      const id = param(request, 'id');
      await amphora.putUpload('haproxy', id, request.body, param(request, 'amphora'));
      return { ...answer(202, OK), etag: md5(request.body) };
    },
  },
  {
    method: 'GET',
    path: '/1.0/loadbalancer/:id/haproxy',
    handle: async (request) => {
      const id = param(request, 'id');
      const data = await store.readUpload('haproxy', id);
      if (data === null) {
        throw new AgentError('OBJECT_NOT_FOUND', {
          message: 'Loadbalancer Not Found',
          details: `No loadbalancer with UUID: ${id}`,
        });
      }
      return { status: 200, body: null, text: decodeConfig(data), etag: md5(data) };
    },
  },
  {
    method: 'PUT',
    path: '/1.0/loadbalancer/:id/:action',
    handle: async (request) => {
      const details = await amphora.act(param(request, 'id'), param(request, 'action'));
      return answer(202, { ...OK, details });
    },
  },
  {
    method: 'PUT',
    path: '/1.0/listeners/:amphora/:id/udp_listener',
    handle: async (request) => {
      await installLvsCheck(checks);
      await amphora.putUpload('lvs', param(request, 'id'), request.body);
      return { ...answer(200, OK), etag: md5(request.body) };
    },
  },
  {
    method: 'GET',
    path: '/1.0/listeners/:id/udp_listener',
    handle: async (request) => {
      const id = param(request, 'id');
      const data = await store.readUpload('lvs', id);
      if (data === null) {
        throw new AgentError('OBJECT_NOT_FOUND', {
          message: 'UDP Listener Not Found',
          details: `No UDP listener with UUID: ${id}`,
        });
      }
      return { status: 200, body: null, text: decodeConfig(data) };
    },
  },
  {
    method: 'GET',
    path: '/1.0/listeners',
    handle: async () => {
      const inForce = new Set(
        amphora.snapshot().committed.flatMap(({ upload }) => upload.listeners.map(({ id }) => id)),
      );
      const listeners = await amphora.uploadedListeners();
      return answer(
        200,
        listeners.map((listener) => listItem(listener, inForce.has(listener.id))),
      );
    },
  },
  {
    method: 'DELETE',
    path: '/1.0/listeners/:id',
    handle: async (request) => {
      await amphora.remove(param(request, 'id'));
      return answer(200, OK);
    },
  },
];

/** LVS listeners are always of type UDP, and OFFLINE until started; HAProxy's are always ACTIVE. */
const listItem = (listener: Listener, isInForce: boolean) => ({
  status: listener.origin === 'haproxy' || isInForce ? 'ACTIVE' : 'OFFLINE',
  uuid: listener.id,
  type: listener.origin === 'lvs' ? 'UDP' : listener.protocol,
});
