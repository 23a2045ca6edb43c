// SPDX-License-Identifier: Apache-2.0
// keepalived: upload and action (contract 1.5, 20 and 21).
import type { Amphora } from '../../amphora.js';
import { md5 } from '../store.js';
import { OK, type Route, answer, param } from './routes.js';

export const vrrpRoutes = (amphora: Pick<Amphora, 'putVrrp' | 'actVrrp'>): readonly Route[] => [
  {
    method: 'PUT',
    path: '/1.0/vrrp/upload',
    handle: async ({ body }) => {
      await amphora.putVrrp(body);
      return { ...answer(200, OK), etag: md5(body) };
    },
  },
  {
    method: 'PUT',
    path: '/1.0/vrrp/:action',
    handle: async (request) =>
      answer(202, { ...OK, details: await amphora.actVrrp(param(request, 'action')) }),
  },
];
