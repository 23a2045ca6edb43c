// SPDX-License-Identifier: Apache-2.0
// Datagrams to a Unix socket, as rsyslog's: in order, waiting for a slow receiver, never for ever.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { addon } from '../../native/index.js';
import { until } from '../support/run.js';

/** Binds, then reads a datagram each `pause` seconds from the first line on its input on. */
const RECEIVER = `
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('ready', flush=True)
sys.stdin.readline()
while True:
    print(s.recv(65536).decode(), flush=True)
    time.sleep(float(sys.argv[2]))
`;

/** A short one: a socket's path has 107 bytes. */
const directory = (t: Test): string => {
  const made = mkdtempSync(join(tmpdir(), 'amp-log-'));
  t.teardown(() => {
    rmSync(made, { recursive: true });
  });
  return made;
};

const receiver = async (t: Test, pauseSeconds: number) => {
  const path = join(directory(t), 'log');
  const child = spawn('python3', ['-c', RECEIVER, path, String(pauseSeconds)]);
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  await until('receiver is there', async () => lines.length === 1);
  lines.length = 0;
  return { path, lines, begin: () => child.stdin.write('\n') };
};

const send = (path: string, texts: readonly string[], timeoutMs: number) => {
  const parts = texts.map((text) => Buffer.from(text));
  const lengths = Uint32Array.from(parts, ({ length }) => length);
  return addon.sendDatagrams(path, Buffer.concat(parts), lengths, timeoutMs);
};

const texts = Array.from({ length: 300 }, (_, i) => `line ${i} ${'x'.repeat(i)}`);

t.test('sends all of them in order, though the receiver takes its time', async (t) => {
  const { path, lines, begin } = await receiver(t, 0.001);
  begin();
  t.strictSame(await send(path, texts, 30_000), { sent: texts.length, code: null });
  await until('all have come', async () => lines.length === texts.length);
  t.strictSame(lines, texts);
});

t.test('gives up on a receiver that does not read, and says how many it has', async (t) => {
  const { path, lines, begin } = await receiver(t, 0);
  const { sent, code } = await send(path, texts, 100);
  t.equal(code, 'ETIMEDOUT');
  t.ok(sent > 0 && sent < texts.length, String(sent));
  begin();
  await until('what was sent has come', async () => lines.length === sent);
  t.strictSame(lines, texts.slice(0, sent));
});

t.test('says that nobody is there', async (t) => {
  const path = join(directory(t), 'nobody');
  t.strictSame(await send(path, ['a'], 100), { sent: 0, code: 'ENOENT' });
});

t.test('sends nothing when there is nothing', async (t) => {
  const { path } = await receiver(t, 0);
  t.strictSame(await send(path, [], 100), { sent: 0, code: null });
});

t.test('refuses lengths that do not add up, and paths that no socket can have', async (t) => {
  const bytes = new Uint8Array(3);
  t.throws(() => addon.sendDatagrams('/x', bytes, Uint32Array.of(4), 0), RangeError);
  t.throws(() => addon.sendDatagrams('', bytes, Uint32Array.of(3), 0), RangeError);
  t.throws(() => addon.sendDatagrams('x'.repeat(108), bytes, Uint32Array.of(3), 0), RangeError);
});
