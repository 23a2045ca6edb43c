// SPDX-License-Identifier: Apache-2.0
// What is left of a config while certificate files are missing (contract 5.11).
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { namedFiles } from '../../agent/core/render/missing-files.js';
import { renderRemainder } from '../../agent/core/render/remainder.js';

const CERTIFICATES = '/var/lib/octavia/certs';

const recorded = (name: string): string => {
  const directory = join(import.meta.dirname, '../fixtures/controller-configs', name);
  const file = readdirSync(directory).find((one) => one.startsWith('haproxy-')) ?? '';
  return readFileSync(join(directory, file), 'utf8');
};
/** Frontends and backends of two configs in one, and what is left of them without these files. */
const bodyOf = (text: string): string => text.slice(text.indexOf('\nfrontend ') + 1);
const sectionsWithout = (text: string, missing: readonly string[]): string[] | null => {
  const { listeners } = parseHaproxyConfig(text, {
    basePath: '/var/lib/octavia',
    certDir: CERTIFICATES,
    localAddresses: new Set(),
  });
  const remainder = renderRemainder({
    loadBalancerId: 'lb',
    text,
    listeners,
    lvsListeners: [],
    commands: { ping: '/ping', udp: '/udp', sctp: '/sctp' },
    missingFiles: new Set(missing),
  });
  if (remainder === null) return null;
  return [...remainder.matchAll(/^(frontend|backend) (\S{4})/gm)].map(([line]) => line).sort();
};

const plain = recorded('a16-http');
const terminated = recorded('a27-terminated');
const reencrypting = recorded('a30-tls-pool');
const both = plain + bodyOf(terminated);

t.test('files are found wherever they are named', async (t) => {
  t.match(namedFiles(terminated, CERTIFICATES), [/4555cbfa\S+\.pem$/]);
  t.match(
    namedFiles(reencrypting, CERTIFICATES),
    [/1c05553c\S+\.pem$/],
    'once, though named twice',
  );
  t.strictSame(namedFiles(plain, CERTIFICATES), []);
});

t.test('a listener without its certificate goes, with its pool, and no other', async (t) => {
  const whole = sectionsWithout(both, []);
  const left = sectionsWithout(both, namedFiles(terminated, CERTIFICATES));
  t.equal(whole?.length, 4);
  t.strictSame(left, sectionsWithout(plain, []));
  t.equal(left?.length, 2);
});

t.test('a pool without its CA takes its listener along', async (t) => {
  const files = namedFiles(reencrypting, CERTIFICATES);
  const beside = bodyOf(reencrypting).replace(/:80$/m, ':81');
  t.strictSame(sectionsWithout(plain + beside, files), sectionsWithout(plain, []));
  t.equal(sectionsWithout(reencrypting, files), null, 'nothing is left to run');
});

t.test('a monitored pool is checked on while its listener is away', async (t) => {
  const monitored = terminated.replaceAll(/^( {4}server .*)$/gm, '$1 check inter 5s fall 2 rise 2');
  const left = sectionsWithout(monitored, namedFiles(terminated, CERTIFICATES));
  t.match(left, ['backend 45ef']);
});
