// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { capConnections } from '../../agent/core/render/connection-cap.js';
import { renderRemainder } from '../../agent/core/render/remainder.js';
import { readCases, type Case } from './controller-cases.js';

const commands = { ping: '/bin/true', udp: '/bin/true', sctp: '/bin/true' };

/** The name that the controller gives an amphora among its peers (contract 1.5, operation 8). */
const peerName = (amphoraId: string): string =>
  createHash('sha1')
    .update(amphoraId)
    .digest('base64')
    .replaceAll('+', '_')
    .replaceAll('/', '-')
    .replace(/=+$/, '')
    .replace(/^-/, 'x');

/** Two controller versions often render the same; HAProxy, which sizes its TLS cache, is asked once. */
const accepted = new Set<string>();

/** Runs the real HAProxy's own check; throws with its output when it refuses. */
const checkWithHaproxy = (text: string, one: Case, amphoraId: string): void => {
  if (accepted.has(text)) return;
  const home = mkdtempSync(join(tmpdir(), 'amphora-remainder-'));
  try {
    const place = (content: string): string => content.replaceAll('/var/lib/octavia', home);
    for (const [path, content] of one.files) {
      mkdirSync(dirname(place(path)), { recursive: true });
      writeFileSync(place(path), place(content));
    }
    writeFileSync(join(home, 'ping-wrapper.sh'), '#!/bin/sh\n');
    chmodSync(join(home, 'ping-wrapper.sh'), 0o755);
    writeFileSync(join(home, 'haproxy.cfg'), place(text));
    execFileSync('haproxy', ['-c', '-L', peerName(amphoraId), '-f', join(home, 'haproxy.cfg')], {
      stdio: 'pipe',
    });
    accepted.add(text);
  } finally {
    rmSync(home, { recursive: true });
  }
};

const frontends = (text: string): string[] =>
  [...text.matchAll(/^frontend (\S+)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => !name.includes('prometheus'));

/** `<backend>/<server>` of all servers with a check: the names under which their health is seen. */
const checkedServers = (text: string): string[] => {
  let backend = '';
  return text
    .split('\n')
    .flatMap((line) => {
      backend = /^backend (\S+)/.exec(line)?.[1] ?? backend;
      const server = /^ +server (\S+) .* check( |$)/.exec(line)?.[1];
      return server === undefined ? [] : [`${backend}/${server}`];
    })
    .sort();
};

/** The same from the model: every member of a monitored pool that the config gives an address. */
const expectedServers = (listeners: readonly Listener[]): string[] =>
  listeners
    .flatMap(({ id, pools }) =>
      pools
        .filter(({ monitor }) => monitor !== null)
        .flatMap((pool) =>
          pool.members
            .filter(({ address }) => address !== null)
            .map((member) => `${pool.id}:${id}/${member.id}`),
        ),
    )
    .sort();

for (const one of readCases()) {
  for (const octavia of new Set(one.uploads.map((upload) => upload.octavia))) {
    t.test(`HAProxy accepts what is left of ${one.name} by Octavia ${octavia}`, async (t) => {
      const uploads = one.uploads.filter((upload) => upload.octavia === octavia);
      const lvsListeners = uploads
        .filter(({ grammar }) => grammar === 'lvs')
        .map(({ text }) => parseLvsConfig(text));
      const haproxy = uploads.filter(({ grammar }) => grammar === 'haproxy');
      const seen = haproxy.length === 0 ? [{ text: null, objectId: 'x' }] : haproxy;
      for (const { text, objectId } of seen) {
        const listeners = text === null ? [] : parseHaproxyConfig(text).listeners;
        const input = { loadBalancerId: one.model.id, text, listeners, lvsListeners, commands };
        const rendered = renderRemainder(input);
        const all = [...listeners, ...lvsListeners];
        const toProxy = listeners.filter(({ engine }) => engine === 'haproxy');
        const toCheck = all.flatMap(({ pools }) => pools).filter(({ monitor }) => monitor !== null);
        t.equal(rendered !== null, toProxy.length + toCheck.length > 0, 'exists when it is needed');
        if (rendered === null) continue;
        t.doesNotThrow(() => {
          checkWithHaproxy(rendered, one, objectId);
        });
        t.strictSame(
          frontends(rendered),
          toProxy.map(({ id }) => id),
          'keeps the frontends of HAProxy alone',
        );
        t.strictSame(checkedServers(rendered), expectedServers(all), 'checks every member once');
      }
    });
  }
}

t.test('a config asks for no more connections than there are files for', async (t) => {
  const config = (limit: number): string =>
    `# maxconn 9\nglobal\n    daemon\n# so\n\n    maxconn ${limit}\nfrontend f\n    maxconn 50000\n`;
  t.equal(capConnections(config(1_000_000), 20_000), config(7307));
  t.equal(capConnections(config(7307), 20_000), config(7307));
  t.equal(capConnections(config(5), 100), config(1), 'at least one');
  const silent = 'global\n    daemon\nfrontend f\n    maxconn 50000\n';
  t.equal(capConnections(silent, 2000), silent, 'a listener’s own limit is not the process’s');
});
