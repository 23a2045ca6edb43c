// SPDX-License-Identifier: Apache-2.0
// Certificates: the listeners' and the agent's own (contract 1.5, 15-18).
import { stat } from 'node:fs/promises';
import type { Amphora } from '../../amphora.js';
import { isName, isObjectId } from '../../core/model/ids.js';
import { AgentError } from '../../errors.js';
import { writeFileAtomic } from '../files.js';
import { pairFault } from '../tls.js';
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
        // The next handshake takes it. One that cannot serve would lock the controller out at the agent's next start,
        // and a 202 would let it believe that the rotation is done (P17).
        const fault = pairFault(request.body);
        if (fault !== null) {
          throw new AgentError('REQUEST_INVALID', {
            message: 'Invalid certificate',
            details: fault,
          });
        }
        await amphora.inTurn(async () => {
          await writeFileAtomic(serverCert, request.body, await modeOf(serverCert));
        });
        return answer(202, OK);
      },
    },
  ];
};

/** A suffix must fit behind it while it is written. */
const MAX_FILE_NAME = 200;

/** The reference's pattern, unanchored as it is, and nothing that leaves the directory. */
const namesOf = (request: Request): { id: string; file: string } => {
  const id = param(request, 'id');
  const file = param(request, 'file');
  const isFile = isName(file) && file.length <= MAX_FILE_NAME && /(\w.)+pem/.test(file);
  if (!isFile || !isObjectId(id)) {
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
