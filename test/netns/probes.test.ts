// SPDX-License-Identifier: Apache-2.0
// The small commands that scripts and HAProxy call, as programs.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { connect, Namespace } from '../support/netns.js';
import { inCheckout } from '../support/paths.js';
import { ended } from '../support/run.js';

const command = (name: string): string => inCheckout(`build/commands/${name}`);
const status = async (child: ChildProcess): Promise<number | null> => {
  await ended(child);
  return child.exitCode;
};

t.test('haproxy-vrrp-check: any byte from every socket within 5 s', async (t) => {
  const directory = mkdtempSync('/tmp/amp-probes-'); // short: a socket's path has 107 bytes
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const listen = async (name: string, answer: string | null): Promise<string> => {
    const path = join(directory, name);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        t.equal(data.toString(), 'show stat -1 -1 -1\n');
        if (answer !== null) socket.end(answer);
      });
    });
    server.listen(path);
    await once(server, 'listening');
    t.teardown(() => server.close());
    return path;
  };
  const good = await listen('good', '#');
  const other = await listen('other', '# pxname,svname\n');
  const empty = await listen('empty', '');
  const silent = await listen('silent', null);
  const check = (...sockets: string[]): Promise<number | null> =>
    status(spawn(command('haproxy-vrrp-check'), sockets, { stdio: 'ignore' }));
  t.equal(await check(), 0, 'nothing to ask');
  t.equal(await check(good, other), 0);
  t.equal(await check(good, join(directory, 'nobody')), 1);
  t.equal(await check(empty), 1, 'a hang-up is no answer');
  t.equal(await check('/'.padEnd(200, 'x')), 1, 'too long for a socket');
  const begun = Date.now();
  t.equal(await check(silent), 1);
  const waited = Date.now() - begun;
  t.ok(waited > 4500 && waited < 7000, `gives up after 5 s (${waited} ms)`);
});

t.test('amphora-health-checker sctp', async (t) => {
  const name = `amp-${process.pid}-sctp`;
  const here = await Namespace.create(`${name}-a`);
  t.teardown(() => here.remove());
  const there = await Namespace.create(`${name}-b`);
  t.teardown(() => there.remove());
  await connect({ namespace: here, name: 'eth0' }, { namespace: there, name: 'eth0' });
  await here.ip('address add 10.9.0.1/24 dev eth0', 'address add 2001:db8:9::1/64 dev eth0 nodad');
  await there.ip('address add 10.9.0.2/24 dev eth0', 'address add 2001:db8:9::2/64 dev eth0 nodad');
  const check = (...args: string[]): Promise<number | null> =>
    status(here.spawn(command('amphora-health-checker'), args, { stdio: 'ignore' }));

  for (const address of ['10.9.0.2', '2001:db8:9::2']) {
    for (const [manner, expected] of [
      ['init-ack', 0],
      ['abort', 1],
      ['silent', 2],
      ['other', 3],
    ] as const) {
      const script = inCheckout('test/support/tools/sctp-peer.py');
      const peer = there.spawn('python3', [script, address, manner], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      peer.stdout?.on('data', (data: Buffer) => (said += data.toString()));
      if (peer.stdout) await once(peer.stdout, 'data');
      t.equal(await check('sctp', '-t', '1', address, '5000'), expected, `${address} ${manner}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      peer.kill();
      await ended(peer);
      const lines = said.trim().split('\n');
      t.equal(lines[1], '1 00000000 sound', 'an INIT with a right checksum');
      if (manner === 'init-ack') t.equal(lines[2], '6 11223344 sound', 'and an ABORT at the end');
      else t.equal(lines[2], undefined);
    }
  }
  t.equal(
    await check('sctp', '-t', '1', '10.9.0.2', '5000'),
    2,
    'nobody there: ICMP is no verdict',
  );
  for (const wrong of [[], ['udp', '::1', '1'], ['sctp', 'name', '1'], ['sctp', '::1', '70000']]) {
    t.equal(await check(...wrong), 2, wrong.join(' '));
  }
});
