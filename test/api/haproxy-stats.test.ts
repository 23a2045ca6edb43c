// SPDX-License-Identifier: Apache-2.0
// Statistics of a real HAProxy: what its columns are called, what its states are worded.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { readHaproxyStats } from '../../agent/shell/haproxy-stats.js';

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

t.test('a running HAProxy', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'amp-haproxy-'));
  const member = createServer((socket) => socket.end('12345')).listen(0, '127.0.0.1');
  await once(member, 'listening');
  const { port: memberPort } = member.address() as AddressInfo;
  const port = await freePort();
  const socket = join(directory, 'stats.sock');
  writeFileSync(
    join(directory, 'haproxy.cfg'),
    `global
    stats socket ${socket} mode 0600 level user
    maxconn 10
defaults
    timeout client 5s
    timeout server 5s
    timeout connect 1s
frontend web
    mode tcp
    bind 127.0.0.1:${port}
    default_backend pool:web
backend pool:web
    mode tcp
    server plain 127.0.0.1:${memberPort} weight 1
    server off 127.0.0.1:${memberPort} weight 1 disabled
backend checked:web
    mode tcp
    server good 127.0.0.1:${memberPort} weight 1 check inter 100ms fall 1 rise 1
    server drained 127.0.0.1:${memberPort} weight 0 check inter 100ms fall 1 rise 1
    server bad 127.0.0.1:1 weight 1 check inter 100ms fall 1 rise 1
`,
  );
  const haproxy = spawn('haproxy', ['-db', '-f', join(directory, 'haproxy.cfg')], {
    stdio: 'ignore',
  });
  t.teardown(async () => {
    member.close();
    haproxy.kill('SIGKILL');
    await once(haproxy, 'exit');
    rmSync(directory, { recursive: true });
  });
  for (let i = 0; i < 500 && !existsSync(socket); i += 1) await sleep(20);

  const client = connect(port, '127.0.0.1');
  client.write('abc');
  client.resume();
  await once(client, 'close');
  let stats = await readHaproxyStats([socket, join(directory, 'no.sock')]);
  for (let i = 0; i < 250 && stats.words.get('checked:web/bad') !== 'DOWN'; i += 1) {
    await sleep(20);
    stats = await readHaproxyStats([socket, join(directory, 'no.sock')]);
  }
  t.strictSame(Object.fromEntries(stats.frontends), {
    web: { bin: 3, bout: 5, ereq: 0, stot: 1, open: 0, worker: String(haproxy.pid) },
  });
  t.strictSame(Object.fromEntries(stats.words), {
    'pool:web/plain': 'no check',
    'pool:web/off': 'MAINT',
    'checked:web/good': 'UP',
    'checked:web/drained': 'UP',
    'checked:web/bad': 'DOWN',
  });
});
