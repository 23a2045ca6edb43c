// SPDX-License-Identifier: Apache-2.0
// How often an agent answers `GET /1.0/info`, each on a TLS connection of its own, as controllers call it.
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { amphoraFixture } from '../../support/fixtures.js';
import type { Namespace } from '../../support/netns.js';
import { MANAGEMENT } from '../../support/topology.js';

/** Answers per second to `clients` of `openssl s_time`, each asking again as soon as it was answered. */
export const infoRate = async (
  namespace: Namespace,
  clients: number,
  seconds: number,
): Promise<number> => {
  const directory = mkdtempSync('/tmp/amp-info-');
  try {
    const identity = join(directory, 'controller.pem');
    writeFileSync(identity, amphoraFixture('pki/controller.cert-and-key.pem'), { mode: 0o600 });
    const args = [
      ...['s_time', '-new', '-tls1_2', '-connect', `${MANAGEMENT.amphora}:9443`],
      ...['-cert', identity, '-key', identity, '-www', '/1.0/info', '-time', String(seconds)],
    ];
    const outputs = await Promise.all(
      Array.from({ length: clients }, () => namespace.exec('openssl', ...args)),
    );
    return outputs.reduce((sum, output) => sum + connections(output), 0) / seconds;
  } finally {
    rmSync(directory, { recursive: true });
  }
};

/** From its second summary, which counts by the clock: "84 connections in 3 real seconds, 361 bytes read ...". */
const connections = (output: string): number => {
  const [, count, bytes] =
    /(\d+) connections in \d+ real seconds, (\d+) bytes read per connection/.exec(output) ?? [];
  if (count === undefined || Number(bytes) < 100) throw new Error(`no answers: ${output}`);
  return Number(count);
};
