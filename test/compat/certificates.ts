// SPDX-License-Identifier: Apache-2.0
// The certificates of the random load balancers: few, under the names that a controller would give them.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inCheckout } from '../support/paths.js';
import type { RandomModel } from './random-model.js';

const read = (file: string): string =>
  readFileSync(inCheckout(`test/fixtures/controller-configs/certs/${file}.pem`), 'utf8');

const FILES = ['www', 'sni1', 'sni2', 'client', 'ca', 'crl'] as const;
type CertificateName = (typeof FILES)[number];

const texts = new Map(FILES.map((file) => [file, read(file)]));

const nameOf = (file: CertificateName): string =>
  `${createHash('sha1')
    .update(texts.get(file) ?? '')
    .digest('hex')}.pem`;

/** File names, without a directory. */
export const CERTIFICATES = {
  www: nameOf('www'),
  sni1: nameOf('sni1'),
  sni2: nameOf('sni2'),
  client: nameOf('client'),
  ca: nameOf('ca'),
  crl: nameOf('crl'),
} as const satisfies Record<CertificateName, string>;

/**
 * What the controller uploads beside the config of this load balancer: file name to content. The crt-lists (contract
 * 4.3.7) name their certificates under `directory`.
 */
export const certificateFiles = (
  model: RandomModel,
  directory = `/var/lib/octavia/certs/${model.id}`,
): ReadonlyMap<string, string> => {
  const lists = model.listeners.flatMap(({ id, tls }): [string, string][] =>
    tls === null || tls.default === null
      ? []
      : [[`${id}.pem`, [tls.default, ...tls.sni].map((name) => `${directory}/${name}\n`).join('')]],
  );
  const certificates = FILES.map((file): [string, string] => [nameOf(file), texts.get(file) ?? '']);
  return new Map([...certificates, ...lists]);
};
