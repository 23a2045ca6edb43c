// SPDX-License-Identifier: Apache-2.0
// The agent's own certificate as Octavia's generator makes it, checked by Octavia's own REST client (P17, P18).
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';
import { AMPHORA, fixture, startBed } from '../api/recorders.js';
import { startPython } from './python.js';

interface Answer {
  readonly error?: string;
  readonly pem?: string;
  readonly info?: unknown;
  readonly warnings: readonly string[];
}

const octavia = startPython('rest_client.py');
t.teardown(() => octavia.stop());
const ask = (request: object): Promise<Answer> => octavia.ask(request) as Promise<Answer>;
const make = async (id: string, seconds = 30 * 86400): Promise<string> => {
  const { pem, error } = await ask({ make: id, seconds });
  if (pem === undefined) throw new Error(error);
  return pem;
};
const client = fixture('pki/controller.cert-and-key.pem');

t.test(
  'a certificate of the controller serves, and only under the amphora’s own name',
  async (t) => {
    const directory = t.testdir();
    const [ca, key] = [join(directory, 'ca.pem'), join(directory, 'ca.key')];
    const subject = ['-x509', '-nodes', '-subj', '/CN=controller', '-days', '2'];
    const how = ['-newkey', 'rsa:2048', '-keyout', key, '-out', ca];
    execFileSync('openssl', ['req', ...subject, ...how], { stdio: 'ignore' });
    await ask({ configure: { ca, key, client } });

    const first = await make(AMPHORA);
    t.match(first, /-----BEGIN CERTIFICATE-----[^]*-----BEGIN RSA PRIVATE KEY-----/, 'PKCS#1');
    const certificate = new X509Certificate(first);
    t.strictSame(
      [certificate.subject, certificate.subjectAltName],
      [`CN=${AMPHORA}`, `DNS:${AMPHORA}`],
    );

    mkdirSync(join(directory, 'pair'));
    const file = join(directory, 'pair/server.pem');
    writeFileSync(file, first, { mode: 0o660 });
    const bed = await startBed(directory);
    t.teardown(() => bed.app.close());
    await bed.app.listen({ host: '127.0.0.1', port: 0 });
    const address = bed.app.server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const served = async (): Promise<string> => {
      const pem = readFileSync(client);
      const socket = connect({
        port,
        host: '127.0.0.1',
        key: pem,
        cert: pem,
        ca: readFileSync(ca),
        checkServerIdentity: () => undefined,
      });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber;

    const { info } = await ask({ info: AMPHORA, port });
    t.match(info, { api_version: '1.0', haproxy_version: /^\d+\./ });
    const stranger = await ask({ info: 'another-amphora', port });
    t.match(stranger.error, /TimeOut/);
    t.match(stranger.warnings.join('\n'), /match/, 'the client compares the id with the name');

    const second = await make(AMPHORA);
    t.strictSame(await ask({ rotate: AMPHORA, port, pem: second }), { warnings: [] });
    t.equal(readFileSync(file, 'utf8'), second);
    t.equal(await served(), serialOf(second), 'the next handshake has it');
    t.match((await ask({ info: AMPHORA, port })).info, { api_version: '1.0' });

    for (const broken of [
      'nonsense',
      second.slice(0, 1500),
      first.replace(/-----BEGIN RSA[^]*/, ''),
    ]) {
      t.match((await ask({ rotate: AMPHORA, port, pem: broken })).error, /InvalidRequest/);
      t.equal(readFileSync(file, 'utf8'), second, 'the next start has a good one, too');
      t.match((await ask({ info: AMPHORA, port })).info, { api_version: '1.0' }, 'not bricked');
      t.equal(await served(), serialOf(second));
    }
    const third = await make(AMPHORA);
    await ask({ rotate: AMPHORA, port, pem: third });
    t.equal(await served(), serialOf(third), 'and a good one still gets in');
  },
);
