// SPDX-License-Identifier: Apache-2.0
// PEM files of listeners (operations 15 to 17).
import { readFileSync } from 'node:fs';
import { inCheckout } from '../../support/paths.js';
import { NOT_FOUND, OK, type Row, bytes, call, etagOf, raw } from '../row.js';

export const TLS_LB = '617adfd9-fca3-58c0-af82-9a7ccffa0c1f';
const DIRECTORY = `/var/lib/octavia/certs/${TLS_LB}`;
const PEM = readFileSync(inCheckout('test/fixtures/controller-configs/certs/www.pem'), 'utf8');
/** A certificate has the SHA-1 of its content for a name, or its id. */
const FILE = '0b7e8f7c9d0a1b2c3d4e5f60718293a4b5c6d7e8.pem';
const PATH = `/1.0/loadbalancer/${TLS_LB}/certificates/${FILE}`;
const BINARY = Buffer.from([0, 255, 254, 10, 13, 0, 128]);
const WRONG = { status: 400, body: { message: 'Filename has wrong format' } };
const missing = (file: string) => ({
  status: 404,
  body: {
    message: 'Certificate Not Found',
    details: `No certificate with filename: ${file}`,
  },
});
const put = (name: string, body: string | Uint8Array): Row => ({
  name,
  ask: raw('PUT', PATH, { body: typeof body === 'string' ? body : bytes(body) }),
  status: 200,
  body: OK,
  headers: etagOf(body),
  leaves: { [`mode ${DIRECTORY}/${FILE}`]: '0600' },
});

export const certificateRows: readonly Row[] = [
  {
    name: 'the MD5 of a certificate that is not there',
    ask: call('get_cert_md5sum', TLS_LB, FILE, [404]),
    ...missing(FILE),
    outcome: null,
  },
  {
    name: 'the MD5 of a certificate that is not there, and it matters',
    ask: call('get_cert_md5sum', TLS_LB, FILE),
    ...missing(FILE),
  },
  {
    name: 'a certificate of a load balancer that the agent has not heard of',
    ask: call('upload_cert_pem', TLS_LB, FILE, PEM),
    status: 200,
    body: OK,
    headers: etagOf(PEM),
    leaves: {
      [`mode ${DIRECTORY}`]: '0755 directory',
      [`mode ${DIRECTORY}/${FILE}`]: '0600',
      [`text ${DIRECTORY}/${FILE}`]: PEM,
    },
  },
  {
    name: 'the MD5 of a certificate',
    ask: call('get_cert_md5sum', TLS_LB, FILE),
    status: 200,
    body: { md5sum: etagOf(PEM).etag },
    headers: etagOf(PEM),
    outcome: etagOf(PEM).etag,
  },
  put('a certificate again, shorter', 'short'),
  put('an empty certificate', ''),
  put('a certificate that is no text', BINARY),
  {
    name: 'the MD5 of a certificate that is no text',
    ask: raw('GET', PATH),
    status: 200,
    body: { md5sum: etagOf(BINARY).etag },
    headers: etagOf(BINARY),
  },
  put('a certificate of 400 kB', 'x'.repeat(400_000)),
  {
    name: 'a certificate of a content type that is none',
    ask: raw('PUT', PATH, { headers: { 'Content-Type': ';;' }, body: PEM }),
    status: 200,
    body: OK,
    headers: etagOf(PEM),
  },
  {
    name: 'a certificate said to be JSON',
    ask: raw('PUT', PATH, { headers: { 'Content-Type': 'application/json' }, body: PEM }),
    status: 200,
    body: OK,
    leaves: { [`text ${DIRECTORY}/${FILE}`]: PEM },
  },
  ...(['PUT', 'GET', 'DELETE'] as const).map((method): Row => ({
    name: `a certificate whose name is none: ${method}`,
    ask: raw(method, PATH.replace(FILE, 'key.txt'), method === 'PUT' ? { body: PEM } : {}),
    ...WRONG,
  })),
  {
    name: 'a certificate named pem only',
    ask: raw('GET', PATH.replace(FILE, 'pem')),
    ...WRONG,
  },
  {
    name: 'a name that only contains the pattern',
    ask: raw('GET', PATH.replace(FILE, 'a.pem.bak')),
    ...missing('a.pem.bak'),
  },
  {
    name: 'a certificate beside its directory',
    ask: raw('GET', PATH.replace(FILE, '..%2fa.pem')),
    ...NOT_FOUND,
  },
  {
    name: 'the removal of a certificate',
    ask: call('delete_cert_pem', TLS_LB, FILE),
    status: 200,
    body: OK,
    leaves: { [`mode ${DIRECTORY}/${FILE}`]: null },
  },
  {
    name: 'the removal of a certificate that is gone',
    ask: call('delete_cert_pem', TLS_LB, FILE),
    status: 200,
    body: OK,
  },
];
