// SPDX-License-Identifier: Apache-2.0
// Requests byte by byte: forms of HTTP that Octavia's client does not send, and paths that its library would tidy.
import type { Row } from '../row.js';

const answers = (pattern: RegExp) => ({ serial: String, answer: pattern });
const wire = (name: string, send: string, outcome: RegExp): Row => ({
  name,
  ask: { handshake: { certificate: 'controller', send } },
  outcome: answers(outcome),
});
const PATH = '/1.0/loadbalancer/wire/certificates/a.pem';
const HOST = 'Host: amphora\r\n';
const STORED =
  /^HTTP\/1\.1 200 OK\r\n[^]*etag: 900150983cd24fb0d6963f7d28e17f72\r\n[^]*"message":"OK"/i;

export const wireRows: readonly Row[] = [
  wire(
    'HTTP/1.0',
    `GET /1.0/listeners HTTP/1.0\r\n\r\n`,
    /^HTTP\/1\.[01] 200 OK\r\n[^]*\r\n\r\n\[\]$/,
  ),
  wire(
    'a body in pieces of their own length',
    `PUT ${PATH} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n`,
    STORED,
  ),
  wire(
    'a body that waits for leave',
    `PUT ${PATH} HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`,
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
  ),
  wire(
    'two requests at once',
    `GET / HTTP/1.1\r\n${HOST}\r\nGET /1.0/listeners HTTP/1.1\r\n${HOST}\r\n`,
    /^HTTP\/1\.1 200 OK\r\n(?:(?!HTTP\/1)[^])*"api_version":"1\.0"\}$/,
  ),
  wire('no HTTP', 'nonsense\r\n\r\n', /^HTTP\/1\.1 400 /),
  {
    ...wire(
      'a certificate of a load balancer that leads elsewhere',
      `PUT /1.0/loadbalancer/%2e%2e/certificates/escaped.pem HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
      /^HTTP\/1\.1 400 [^]*"Filename has wrong format"/,
    ),
    leaves: { 'mode /var/lib/octavia/escaped.pem': null },
  },
  {
    ...wire(
      'a UDP listener that leads elsewhere',
      `PUT /1.0/listeners/a/%2e%2e/udp_listener HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\n#`,
      /^HTTP\/1\.1 400 [^]*"Invalid request"/,
    ),
    leaves: { 'mode /var/lib/octavia/lvs/octavia-keepalivedlvs-...conf': null },
  },
  wire(
    'the removal of a load balancer that leads elsewhere',
    `DELETE /1.0/listeners/%2e%2e HTTP/1.1\r\n${HOST}\r\n`,
    /^HTTP\/1\.1 200 OK\r\n[^]*"message":"OK"/,
  ),
];
