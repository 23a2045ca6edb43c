// SPDX-License-Identifier: Apache-2.0
// A remainder of backends alone, run by the real HAProxy against real members: who is up, by which name.
import { spawn } from 'node:child_process';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { renderRemainder } from '../../agent/core/render/remainder.js';

const listen = async (server: Server): Promise<number> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
};

/** A member that answers HTTP with one code. */
const httpMember = (code: number): Promise<number> =>
  listen(
    createHttpServer((request, response) => {
      response.statusCode = request.url === '/health' ? code : 500;
      response.end();
    }),
  );

/** Status by `<backend>/<server>`, as the agent reads it. */
const showStates = async (socket: string): Promise<ReadonlyMap<string, string>> => {
  const client = connect(socket);
  client.end('show stat\n');
  let text = '';
  for await (const chunk of client) text += String(chunk);
  const rows = text.split('\n').map((line) => line.split(','));
  return new Map(rows.map((row) => [`${row[0] ?? ''}/${row[1] ?? ''}`, row[17] ?? '']));
};

/** Waits until the states are these, or gives back what they are after a while. */
const statesBecome = async (socket: string, wanted: Readonly<Record<string, string>>) => {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const states = await showStates(socket).catch(() => new Map<string, string>());
    const seen = Object.fromEntries(Object.keys(wanted).map((key) => [key, states.get(key)]));
    const isDone = Object.entries(wanted).every(([key, state]) => seen[key] === state);
    if (isDone || Date.now() > deadline) return seen;
    await sleep(100);
  }
};

const lvsHead = (id: string, port: number): string[] => [
  '# Configuration for Loadbalancer lb1',
  `# Configuration for Listener ${id}`,
  'virtual_server_group ipv4-group {',
  `    10.0.0.1 ${port}`,
  '}',
  'virtual_server group ipv4-group {',
  '    protocol UDP',
  '    delay_loop 1',
  '    retry 2',
  `    # Configuration for Pool p-${id}`,
];

t.test('members are up and down by their own names, without a frontend', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'amphora-live-'));
  chmodSync(home, 0o755);
  t.teardown(() => {
    rmSync(home, { recursive: true });
  });
  const check = join(home, 'udp-check');
  // up for port 53 only; HAProxy's own user must be able to run it
  writeFileSync(check, '#!/bin/sh\necho "$*" >> "$(dirname "$0")/calls"\n[ "$4" = 53 ]\n');
  writeFileSync(join(home, 'calls'), '');
  chmodSync(check, 0o755);
  chmodSync(join(home, 'calls'), 0o666);

  const open = await listen(createServer((socket) => socket.destroy()));
  const [ok, noContent, failing] = await Promise.all([200, 204, 500].map(httpMember));
  const text = [
    'global',
    `    stats socket ${home}/lb1.sock mode 0666 level user`,
    'frontend l1',
    '    bind 10.0.0.1:80',
    '    mode tcp',
    '    default_backend p1:l1',
    'backend p1:l1',
    '    timeout check 1s',
    '    timeout connect 1s',
    '    timeout server 1s',
    `    server open 127.0.0.1:${open} weight 1 check inter 1s fall 1 rise 1`,
    '    server closed 127.0.0.1:1 weight 1 check inter 1s fall 1 rise 1',
    `    server elsewhere 127.0.0.9:9 weight 1 check inter 1s fall 1 rise 1 addr 127.0.0.1 port ${open}`,
    '',
  ].join('\n');
  const udp = [
    ...lvsHead('udp', 53),
    ...[53, 54].flatMap((port) => [
      `    # Configuration for Member u${port}`,
      `    real_server 10.1.0.1 ${port} {`,
      '        MISC_CHECK {',
      `            misc_path "${home}/lvs/check/udp_check.sh 10.1.0.1 ${port}"`,
      '            misc_timeout 1',
      '        }',
      '    }',
    ]),
    '}',
  ].join('\n');
  const http = [
    ...lvsHead('web', 8053),
    ...[ok, noContent, failing].flatMap((port, i) => [
      `    # Configuration for Member w${i}`,
      `    real_server 127.0.0.1 ${port ?? 0} {`,
      '        HTTP_GET {',
      ...[200, 204].map((code) => `url {\npath /health\nstatus_code ${code}\n}`),
      '        }',
      '    }',
    ]),
    '}',
  ].join('\n');

  // Members on loopback would keep the listener with HAProxy; here they stand for others.
  const { listeners } = parseHaproxyConfig(text, { basePath: home });
  const rendered = renderRemainder({
    loadBalancerId: 'lb1',
    text,
    listeners: listeners.map((listener) => ({ ...listener, engine: 'datapath' })),
    lvsListeners: [udp, http].map((one) => parseLvsConfig(one, { basePath: home })),
    commands: { ping: check, udp: check, sctp: check },
    basePath: home,
  });
  t.notMatch(rendered, /^frontend/m, 'HAProxy has nothing to listen on');
  writeFileSync(join(home, 'haproxy.cfg'), rendered ?? '');
  const haproxy = spawn('haproxy', ['-db', '-f', join(home, 'haproxy.cfg')], { stdio: 'ignore' });
  const gone = once(haproxy, 'exit');
  t.teardown(async () => {
    haproxy.kill('SIGKILL');
    await gone;
  });

  const wanted = {
    'p1:l1/open': 'UP',
    'p1:l1/closed': 'DOWN',
    'p1:l1/elsewhere': 'UP',
    'p-udp:udp/u53': 'UP',
    'p-udp:udp/u54': 'DOWN',
    'p-web:web/w0': 'UP',
    'p-web:web/w1': 'UP',
    'p-web:web/w2': 'DOWN',
  };
  t.strictSame(await statesBecome(join(home, 'lb1.sock'), wanted), wanted);
  const calls = readFileSync(join(home, 'calls'), 'utf8').trim().split('\n');
  t.strictSame(
    [...new Set(calls)].sort(),
    ['NOT_USED NOT_USED 10.1.0.1 53', 'NOT_USED NOT_USED 10.1.0.1 54'],
    'a program gets the address and port of the member',
  );
});
