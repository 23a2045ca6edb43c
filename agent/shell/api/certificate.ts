// SPDX-License-Identifier: Apache-2.0
// Certificates: the listeners' and the agent's own (contract 1.5, 15-18).
import { stat } from 'node:fs/promises';
import type { Amphora } from '../../amphora.js';
import { isName } from '../../core/model/ids.js';
import { AgentError } from '../../errors.js';
import { writeFileAtomic } from '../files.js';
import { type Store, md5 } from '../store.js';
import { OK, type Request, type Route, answer, param } from './routes.js';

export const certificateRoutes = (
  amphora: Amphora,
  store: Store,
  serverCert: string,
): readonly Route[] => {
  const path = '/1.0/loadbalancer/:id/certificates/:file';
  return [
    {
      method: 'PUT',
      path,
      handle: async (request) => {
        const { id, file } = namesOf(request);
        await amphora.inTurn(() => store.saveCertificate(id, file, request.body));
        return { ...answer(200, OK), etag: md5(request.body) };
      },
    },
    {
      method: 'GET',
      path,
      handle: async (request) => {
        const { id, file } = namesOf(request);
        const data = await store.readCertificate(id, file);
        if (data === null) {
          throw new AgentError('CERTIFICATE_NOT_FOUND', {
            message: 'Certificate Not Found',
            details: `No certificate with filename: ${file}`,
          });
        }
        const md5sum = md5(data);
        return { ...answer(200, { md5sum }), etag: md5sum };
      },
    },
    {
      method: 'DELETE',
      path,
      handle: async (request) => {
        const { id, file } = namesOf(request);
        await amphora.inTurn(() => store.removeCertificate(id, file));
        return answer(200, OK);
      },
    },
    {
      method: 'PUT',
      path: '/1.0/certificate',
      handle: async (request) => {
        // The next handshake takes it if it is good, and keeps the old one if not (P17).
        await amphora.inTurn(async () => {
          await writeFileAtomic(serverCert, request.body, await modeOf(serverCert));
        });
        return answer(202, OK);
      },
    },
  ];
};

/** The reference's pattern, unanchored as it is, and nothing that leaves the directory. */
const namesOf = (request: Request): { id: string; file: string } => {
  const id = param(request, 'id');
  const file = param(request, 'file');
  if (!/(\w.)+pem/.test(file) || !isName(file) || !isName(id)) {
    throw new AgentError('REQUEST_INVALID', { message: 'Filename has wrong format' });
  }
  return { id, file };
};

const modeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).mode & 0o777;
  } catch {
    return 0o600;
  }
};
