// SPDX-License-Identifier: Apache-2.0
// Mutual TLS, the agent's own certificate (operation 18), and clients that keep it waiting.
import { readFileSync } from 'node:fs';
import { amphoraFixture } from '../../support/fixtures.js';
import type { Certificate } from '../amphora-client.js';
import { OK, type Row, call } from '../row.js';

const SERVER = '/etc/octavia/certs/server.pem';
const FIRST = amphoraFixture('etc/octavia/certs/server.pem');
/** The serial number is read from the handshake: which pair the agent showed. */
const ANSWERED = { serial: String, answer: /^HTTP\/1\.1 200 OK\r\n[^]*"api_version":"1\.0"/ };
const discovery = (name: string): Row => ({
  name,
  ask: call('get_api_version'),
  status: 200,
  body: { api_version: '1.0' },
});

const answered = (version: '1.2' | '1.3'): Row => ({
  name: `the controller over TLS ${version}`,
  ask: { handshake: { certificate: 'controller', version } },
  outcome: ANSWERED,
});
/** `words`: of the Python library's exception. */
const refused = (
  certificate: Certificate,
  version: '1.1' | '1.2' | '1.3',
  outcome: RegExp,
): Row => ({
  name: `refused: ${certificate} over TLS ${version}`,
  ask: { handshake: { certificate, version } },
  outcome,
});
const ALERT = /^raises SSL/;

const who: readonly Row[] = [
  answered('1.2'),
  answered('1.3'),
  refused('controller', '1.1', ALERT),
  ...(['1.2', '1.3'] as const).flatMap((version) => [
    refused('none', version, /^raises (SSL|ConnectionReset)/),
    refused('intruder', version, /^raises (SSL|ConnectionReset)/),
    refused('expired', version, /^raises (SSL|ConnectionReset)/),
  ]),
];

const rotates = (name: string, body: string): Row => ({
  name,
  ask: call('update_cert_for_rotation', body),
  status: 202,
  body: OK,
  leaves: { [`text ${SERVER}`]: body },
});
const rotated: Row = {
  name: 'a certificate that Octavia made for the agent',
  ask: ({ rotated = '' }) => call('update_cert_for_rotation', readFileSync(rotated, 'utf8')),
  status: 202,
  body: OK,
  leaves: { [`mode ${SERVER}`]: '0600' },
};

const rotation: readonly Row[] = [
  rotated,
  discovery('a discovery with the new certificate'),
  rotates('the first certificate again', FIRST),
  discovery('a discovery with the first certificate'),
];

export const BROKEN = FIRST.slice(0, FIRST.indexOf('-----BEGIN RSA'));
/** Last, because the stock agent cannot be reached any more. */
const broken: readonly Row[] = [
  {
    name: 'a certificate without its key',
    ask: call('update_cert_for_rotation', BROKEN),
    status: 400,
    body: { message: 'Invalid certificate', details: String },
    leaves: { [`text ${SERVER}`]: FIRST },
  },
  discovery('a discovery after a certificate without its key'),
  rotates('a certificate after a broken one', FIRST),
  discovery('a discovery after a good certificate'),
];

const held = (kind: 'silent' | 'half a head' | 'slow body', count: number): readonly Row[] => [
  { name: `${count} clients begin: ${kind}`, ask: { hold: { kind, count } } },
  {
    ...discovery(`a discovery while ${count} clients wait: ${kind}`),
    ask: call('get_api_version', { req_conn_timeout: 5 }),
  },
  { name: `the clients go: ${kind}`, ask: { release: true } },
  {
    name: `the agent is there after they went: ${kind}`,
    ask: { wait: 60 },
    outcome: { api_version: '1.0' },
  },
];

export const tlsRows: readonly Row[] = [
  ...who,
  ...rotation,
  ...held('silent', 20),
  ...held('half a head', 1),
  ...held('slow body', 1),
  ...broken,
];
