// SPDX-License-Identifier: Apache-2.0
// The real server on a real socket: who may talk to it, in which versions, with which certificate.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { request } from 'node:https';
import { join } from 'node:path';
import { type ConnectionOptions, TLSSocket, connect } from 'node:tls';
import t from 'tap';
import { AMPHORA, type Bed, fixture, startBed } from './recorders.js';

const ca = readFileSync(fixture('pki/server_ca.cert.pem'));
const controller = readFileSync(fixture('pki/controller.cert-and-key.pem'));
const intruder = readFileSync(fixture('pki/intruder.cert-and-key.pem'));

/** As the controller's client: pinned version, the amphora's id as host name. */
const trusted = (pem: Buffer | null): ConnectionOptions => ({
  ca,
  servername: '',
  checkServerIdentity: (_host, cert) =>
    cert.subjectaltname === `DNS:${AMPHORA}` ? undefined : new Error(`${cert.subjectaltname}`),
  ...(pem ? { cert: pem, key: pem } : {}),
});

const listen = async (bed: Bed): Promise<number> => {
  await bed.app.listen({ host: '::', port: 0 });
  const address = bed.app.server.address();
  return typeof address === 'object' && address ? address.port : 0;
};

interface Got {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly serial: string;
}

const get = (
  port: number,
  options: ConnectionOptions,
  send: { method: string; path: string; body?: string } = { method: 'GET', path: '//' },
): Promise<Got> =>
  new Promise((resolve, reject) => {
    const { method, path, body } = send;
    const sent = request(
      { host: '127.0.0.1', port, agent: false, method, path, ...options },
      (answer) => {
        const chunks: Buffer[] = [];
        const { socket } = answer;
        const serial = socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : '';
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: Buffer.concat(chunks).toString(),
            serial,
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });

t.test('the controller is answered over TLS 1.2 and 1.3, once per connection', async (t) => {
  const bed = await startBed(t.testdir());
  t.teardown(() => bed.app.close());
  const port = await listen(bed);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { ...trusted(controller), minVersion: version, maxVersion: version };
    const answer = await get(port, options);
    t.equal(answer.status, 200);
    t.strictSame(JSON.parse(answer.body), { api_version: '1.0' });
    t.equal(answer.headers['connection'], 'close');
  }
  const old = {
    minVersion: 'TLSv1.1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  } as const;
  await t.rejects(get(port, { ...trusted(controller), ...old }), 'TLS 1.1');
});

t.test('nobody else gets an HTTP answer', async (t) => {
  const bed = await startBed(t.testdir());
  t.teardown(() => bed.app.close());
  const port = await listen(bed);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const only = { minVersion: version, maxVersion: version };
    await t.rejects(get(port, { ...trusted(intruder), ...only }), `intruder, ${version}`);
    await t.rejects(get(port, { ...trusted(null), ...only }), `no certificate, ${version}`);
  }
  await t.rejects(
    get(port, { ...trusted(null), maxVersion: 'TLSv1.2' }),
    { message: /alert number 40/ },
    'a TLS alert',
  );
});

t.test('a rotated certificate serves the next handshake, a broken one never', async (t) => {
  const bed = await startBed(t.testdir());
  t.teardown(() => bed.app.close());
  const port = await listen(bed);
  const file = join(bed.directory, 'pair/server.pem');
  const before = await get(port, trusted(controller));
  const rotated = readFileSync(fixture('rotation/server-rotated.pem'), 'utf8');
  const put = await get(port, trusted(controller), {
    method: 'PUT',
    path: '/1.0/certificate',
    body: rotated,
  });
  t.equal(put.status, 202, 'the answer comes through the old pair');
  t.equal(put.serial, before.serial);
  const after = await get(port, trusted(controller));
  t.not(after.serial, before.serial);
  for (const broken of ['', 'nonsense', rotated.slice(0, rotated.length / 2)]) {
    writeFileSync(file, broken);
    const still = await get(port, trusted(controller));
    t.equal(still.serial, after.serial, 'the last good pair stays');
  }
  copyFileSync(fixture('etc/octavia/certs/server.pem'), file);
  t.equal((await get(port, trusted(controller))).serial, before.serial, 'replaced behind our back');
});

t.test('what is no HTTP is refused with a status that means failure', async (t) => {
  const bed = await startBed(t.testdir());
  t.teardown(() => bed.app.close());
  const port = await listen(bed);
  for (const bytes of ['nonsense\r\n\r\n', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`]) {
    const socket = connect({ host: '127.0.0.1', port, ...trusted(controller) });
    await once(socket, 'secureConnect');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.write(bytes);
    await once(socket, 'close');
    t.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 400 /);
    t.match(Buffer.concat(chunks).toString(), /"http_code":400/);
  }
});
