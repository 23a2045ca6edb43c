// SPDX-License-Identifier: Apache-2.0
// Clients that are slow, silent or gone: the others are answered as if they were not there.
import { join } from 'node:path';
import { type Socket, connect as connectTcp } from 'node:net';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { connect } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type Api, type Limits, createServer } from '../../agent/shell/api/server.js';
import { type Route, answer } from '../../agent/shell/api/routes.js';
import { parseAnswer } from '../support/hostile/exchange.js';
import { controllerTls } from '../support/tls.js';
import { fixture } from './recorders.js';

const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/', handle: () => answer(200, { api_version: '1.0' }) },
  { method: 'PUT', path: '/body', handle: ({ body }) => answer(200, { bytes: body.length }) },
];
const LIMITS: Limits = { handshakeMs: 1500, headersMs: 1500, openHandshakes: 50 };

const startApp = (t: Test, limits?: Limits): Api => {
  const directory = join(t.testdir(), 'pair');
  cpSync(fixture('etc/octavia/certs'), directory, { recursive: true });
  const pair = { cert: join(directory, 'server.pem'), ca: join(directory, 'client_ca.pem') };
  const log = pino({ level: 'silent' });
  const options = { pair, log, requestReadTimeoutSeconds: 180 };
  return createServer(ROUTES, limits === undefined ? options : { ...options, limits });
};

const startServer = async (t: Test, limits?: Limits): Promise<number> => {
  const app = startApp(t, limits);
  t.teardown(() => app.close());
  return listen(app);
};

const listen = async (app: Api): Promise<number> => {
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};

/** A connection that is forgotten with the test, whatever becomes of it. */
const keep = <Any extends Socket>(t: Test, socket: Any): Any => {
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  return socket;
};

const openTcp = async (t: Test, port: number): Promise<Socket> => {
  const socket = keep(t, connectTcp({ host: '127.0.0.1', port }));
  await once(socket, 'connect');
  return socket;
};

const openTls = async (t: Test, port: number) => {
  const socket = keep(t, connect({ ...controllerTls(), host: '127.0.0.1', port }));
  await once(socket, 'secureConnect');
  return socket;
};

/** All that comes until the server closes. */
const readAll = async (socket: Socket): Promise<string> => {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(chunks).toString();
};

/** Milliseconds until `GET //` is answered. */
const ask = async (t: Test, port: number): Promise<number> => {
  const begun = Date.now();
  const socket = await openTls(t, port);
  socket.write('GET // HTTP/1.1\r\nHost: x\r\n\r\n');
  const status = parseAnswer(Buffer.from(await readAll(socket)))?.status;
  if (status !== 200) throw new Error(`status ${status}`);
  return Date.now() - begun;
};

t.test('others are answered promptly', async (t) => {
  const port = await startServer(t);
  const slow = await Promise.all([
    ...Array.from({ length: 200 }, () => openTcp(t, port)),
    ...Array.from({ length: 50 }, () => openTls(t, port)),
  ]);
  const hello = await openTcp(t, port);
  hello.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00])); // a handshake that never goes on
  const headers = await openTls(t, port);
  headers.write('PUT /body HTTP/1.1\r\nHost: x\r\nContent-');
  const body = await openTls(t, port);
  body.write('PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome of it');
  const halfClosed = await openTls(t, port);
  halfClosed.end('GET / HT');
  const unread = await openTls(t, port);
  unread.pause();
  unread.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const times = [];
  for (let i = 0; i < 10; i += 1) times.push(await ask(t, port));
  t.ok(Math.max(...times) < 5000, `at most ${Math.max(...times)} ms`);
  t.ok(
    slow.every((socket) => !socket.destroyed),
    'those who wait may wait',
  );
});

t.test('who says nothing is let go, who uploads slowly is not', async (t) => {
  const port = await startServer(t, LIMITS);
  const silent = await openTcp(t, port);
  const idle = await openTls(t, port);
  const headers = await openTls(t, port);
  headers.write('GET / HTTP/1.1\r\nHost: x\r\nX-');
  const upload = await openTls(t, port);
  const answered = readAll(upload);
  upload.write('PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n');
  const trickle = (async () => {
    for (let i = 0; i < 60; i += 1) {
      await sleep(100);
      upload.write('x');
    }
  })();
  const begun = Date.now();
  await readAll(silent);
  t.match(await readAll(headers), /^HTTP\/1\.1 400 [\s\S]*"http_code":400/, 'a status of failure');
  await readAll(idle);
  t.ok(Date.now() - begun < 5500, 'before the upload is through');
  await trickle;
  const { status, body } = parseAnswer(Buffer.from(await answered)) ?? {};
  t.strictSame([status, body?.trim()], [200, '{"bytes":60}'], 'six seconds for 60 bytes');
});

t.test('any number of strangers leaves room for the controller', async (t) => {
  const port = await startServer(t, { ...LIMITS, handshakeMs: 60_000, headersMs: 60_000 });
  const strangers: Socket[] = [];
  for (let i = 0; i < 120; i += 1) strangers.push(await openTcp(t, port));
  t.ok((await ask(t, port)) < 5000);
  const left = strangers.filter((socket) => !socket.destroyed).length;
  t.ok(left <= LIMITS.openHandshakes + 1, `${left} of 120 may wait`);
  t.ok(left >= LIMITS.openHandshakes - 1);
  t.ok(strangers.at(-1)?.destroyed === false, 'the newest among them');
});

t.test('one request for each connection, and answers in words', async (t) => {
  const port = await startServer(t);
  const cases = [
    ['pipelined', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(5), /^HTTP\/1\.1 200 /],
    ['without Host', 'GET / HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 200 /],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 200 /],
    [
      'an unknown expectation',
      'GET / HTTP/1.1\r\nHost: x\r\nExpect: y\r\n\r\n',
      /^HTTP\/1\.1 200 /,
    ],
    [
      'two lengths',
      'PUT /body HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      /400 /,
    ],
    ['a wrong chunk', 'PUT /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', /400 /],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /400 /],
    ['a long header', `GET / HTTP/1.1\r\nX: ${'x'.repeat(30_000)}\r\n\r\n`, /400 /],
    ['no URL', 'GET //[ HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 404 [\s\S]*"http_code":404/],
    ['another no URL', 'GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n', /40[04] [\s\S]*"http_code":40/],
  ] as const;
  for (const [name, request, wanted] of cases) {
    const socket = await openTls(t, port);
    socket.write(request);
    const text = await readAll(socket);
    t.match(text, wanted, name);
    t.equal(text.match(/HTTP\/1\.1 /g)?.length, 1, `${name}: one answer`);
  }
});

t.test('a large body of an unreadable type is read before it is refused', async (t) => {
  const port = await startServer(t);
  for (const type of ['', ';;;', 'text/plain', 'application/json']) {
    const socket = await openTls(t, port);
    socket.write(`PUT /body HTTP/1.1\r\nContent-Type: ${type}\r\nContent-Length: 3000000\r\n\r\n`);
    socket.write('x'.repeat(3_000_000));
    t.match(await readAll(socket), /^HTTP\/1\.1 200 [\s\S]*\{"bytes":3000000\}/, `type ${type}`);
  }
});

t.test('a request that comes while the agent stops is answered', async (t) => {
  const app = startApp(t);
  const socket = await openTls(t, await listen(app));
  socket.write('GET // HTTP/1.1\r\nHost:');
  await sleep(200);
  const closed = app.close();
  await sleep(200);
  socket.write(' x\r\n\r\n');
  t.equal(parseAnswer(Buffer.from(await readAll(socket)))?.status, 200);
  await closed;
});
