// SPDX-License-Identifier: Apache-2.0
// Uploads of all kinds that no controller would send.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AMPHORA_ID } from '../tls.js';
import { amphoraFixture } from '../fixtures.js';
import { inCheckout } from '../paths.js';
import { CONF_LINES, HAPROXY_LINES, LVS_LINES, VRRP_LINES } from './lines.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import { type Input, requestBytes } from './request.js';

/** Ids of what the hostile controller owns; the traffic's load balancer is another's. */
export const VICTIMS = {
  loadBalancer: 'deadbeef-0000-4000-8000-00000000000a',
  listener: 'deadbeef-0000-4000-8000-00000000000b',
} as const;

const CASES = inCheckout('test/fixtures/controller-configs');

const fixtures = (pattern: RegExp): readonly string[] =>
  readdirSync(CASES, { recursive: true, encoding: 'utf8' })
    .filter((file) => pattern.test(file))
    .sort()
    .map((file) => readFileSync(join(CASES, file), 'utf8'));

const HAPROXY = fixtures(/haproxy-.*\.cfg$/);
const LVS = fixtures(/lvs-.*\.conf$/);
// Another VIP and table: what keepalived takes away must not be the traffic's.
const VRRP = fixtures(/vrrp-.*\.conf$/).map((text) => text.replaceAll('10.0.0.10', '10.0.0.99'));
const CERTIFICATES = fixtures(/certs\/.*\.pem$/);

export const haproxyUpload = (random: Random): Input => {
  const readBack = `/1.0/loadbalancer/${VICTIMS.loadBalancer}/haproxy`;
  const path = `/1.0/loadbalancer/${AMPHORA_ID}/${VICTIMS.loadBalancer}/haproxy`;
  const body = mutate(random.pick(HAPROXY), random, HAPROXY_LINES);
  return upload('haproxy config', { path, body, allowed: [202, 400], readBack });
};

export const lvsUpload = (random: Random): Input => {
  const readBack = `/1.0/listeners/${VICTIMS.listener}/udp_listener`;
  const path = `/1.0/listeners/${AMPHORA_ID}/${VICTIMS.listener}/udp_listener`;
  const body = mutate(random.pick(LVS), random, LVS_LINES);
  return upload('LVS config', { path, body, allowed: [200, 400], readBack });
};

export const vrrpUpload = (random: Random): Input => {
  const body = mutate(random.pick(VRRP), random, VRRP_LINES);
  return upload('VRRP config', { path: '/1.0/vrrp/upload', body, allowed: [200, 400] });
};

/** A listener's PEM is stored unseen, as the contract wants it: HAProxy reads it, at the next reload. */
export const certificateUpload = (random: Random): Input => {
  const path = `/1.0/loadbalancer/${VICTIMS.loadBalancer}/certificates/hostile${random.below(20)}.pem`;
  const body = brokenPem(random.pick(CERTIFICATES), random);
  return upload('listener certificate', { path, body, allowed: [200] });
};

/** The agent's own: what cannot serve must not take the place of what does. */
export const ownCertificate = (random: Random): Input => {
  const pem = amphoraFixture('etc/octavia/certs/server.pem');
  const body = brokenPem(pem, random);
  return upload('own certificate', { path: '/1.0/certificate', body, allowed: [202, 400] });
};

export const agentConfig = (random: Random, current: string): Input => {
  const body = random.chance(0.05)
    ? random.bytes(random.below(500))
    : mutate(current, random, CONF_LINES);
  return upload('agent config', { path: '/1.0/config', body, allowed: [202, 500] });
};

interface Upload {
  readonly path: string;
  readonly body: Buffer;
  readonly allowed: readonly number[];
  readonly readBack?: string;
}

const upload = (kind: string, { path, body, allowed, readBack }: Upload): Input => ({
  kind,
  bytes: requestBytes({ method: 'PUT', path, body }),
  allowed,
  mustAnswer: true,
  ...(readBack === undefined ? {} : { readBack }),
});

const BLOCK = /-----BEGIN [^-]+-----[\s\S]*?-----END [^-]+-----\n?/g;

const brokenPem = (pem: string, random: Random): Buffer => {
  const blocks = pem.match(BLOCK) ?? [];
  switch (random.below(9)) {
    case 0: // cut short
      return Buffer.from(pem.slice(0, random.below(pem.length)));
    case 1: // the other way round
      return Buffer.from(blocks.toReversed().join(''));
    case 2: // no key
      return Buffer.from(blocks[0] ?? '');
    case 3: // no certificate
      return Buffer.from(blocks.at(-1) ?? '');
    case 4:
      return random.bytes(random.below(4000));
    case 5: // another's key
      return Buffer.from(`${blocks[0] ?? ''}${amphoraFixture('pki/other_ca.key.pem')}`);
    case 6:
      return Buffer.from(`${pem.slice(0, 40)}\0${pem.slice(40)}`);
    case 7: // now and then 10 MB
      return Buffer.from(pem.repeat(random.chance(0.1) ? 10_000_000 / pem.length : 3));
    default: {
      const data = Buffer.from(pem);
      data[random.below(data.length)] = random.below(256);
      return data;
    }
  }
};
