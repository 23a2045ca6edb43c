// SPDX-License-Identifier: Apache-2.0
// The controller's side of mutual TLS, as Octavia's client sets it up.
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { amphoraFixture } from './fixtures.js';

/** Identity of the fixture amphora: the only name its certificate bears. */
export const AMPHORA_ID = amphoraFixture('amphora-agent.conf/example.amphora-id').trim();

/**
 * TLS 1.2 exactly, no SNI, and the certificate must name the amphora's id, not its address.
 * `pair`: who calls; the intruder's certificate comes from another CA, null sends none.
 */
export const controllerTls = (pair: 'controller' | 'intruder' | null = 'controller') => ({
  ...(pair === null ? {} : identity(amphoraFixture(`pki/${pair}.cert-and-key.pem`))),
  ca: amphoraFixture('pki/server_ca.cert.pem'),
  minVersion: 'TLSv1.2' as const,
  maxVersion: 'TLSv1.2' as const,
  servername: '',
  checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
    checkServerIdentity(AMPHORA_ID, certificate),
});

const identity = (pem: string) => ({ cert: pem, key: pem });
