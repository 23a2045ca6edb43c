// SPDX-License-Identifier: Apache-2.0
// What the dataplane tells of real packets: counters, flows, events, and what a member's end does to them.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { FlowEvent } from '../../agent/core/model/dataplane.js';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { at, listener, member, pool, wantedState } from '../core/plan-fixtures.js';
import { makeWorld } from './dataplane-world.js';

const VIP = '203.0.113.10';
const servers = ['192.0.2.11', '192.0.2.12'];
const members = servers.map((address, i) => member(`m${i}`, address, { port: 8000 }));
const web = listener('web', [pool(members)], { vips: [at(VIP, 80)] });
const dnsOf = (...some: typeof members): Listener =>
  listener('dns', [pool(some)], { origin: 'lvs', protocol: 'UDP', vips: [at(VIP, 53)] });

/** An amphora between a client's and the members' subnet; echo servers on both members. */
const start = async (t: Test, hook: 'tc' | 'xdp' = 'tc') => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24', `${VIP}/32`]);
  const eth2 = world.plug('eth2', ['192.0.2.5/24']);
  world.address('eth1', '203.0.113.100/24');
  world.address('eth2', ...servers.map((address) => `${address}/24`));
  // As the agent sets them: a packet that the datapath passes up half-way bears the amphora's own source.
  for (const name of ['eth1', 'eth2'])
    for (const setting of ['accept_local=1', 'rp_filter=0'])
      world.inside('sysctl', '-qw', `net.ipv4.conf.${name}.${setting}`);
  for (const setting of ['ip_forward=1', 'conf.all.rp_filter=0'])
    world.inside('sysctl', '-qw', `net.ipv4.${setting}`);
  for (const address of servers) {
    world.serveOutside('socat', `TCP4-LISTEN:8000,bind=${address},reuseaddr,fork`, 'EXEC:cat');
    world.serveOutside('socat', `UDP4-LISTEN:8000,bind=${address},reuseaddr,fork`, 'EXEC:cat');
  }
  await sleep(300);
  const interfaces = [eth1, eth2].map((item) => ({ ...item, hook }));
  const dataplane = world.dataplane();
  await dataplane.start();
  const apply = async (...listeners: Listener[]): Promise<void> => {
    await dataplane.apply(wantedState(listeners, { interfaces }));
  };
  const udp = (text: string, port: number): string =>
    world.outside(
      text,
      ...['socat', '-t10', '-'],
      // The answer is as long as the question, so nobody waits for more.
      `UDP4:${VIP}:53,sourceport=${port},reuseaddr,readbytes=${text.length}`,
    );
  return { world, dataplane, apply, udp };
};

t.test('a TCP connection is counted, listed and told of', async (t) => {
  const { world, dataplane, apply } = await start(t);
  await apply(web);
  const events: FlowEvent[] = [];
  const unfollow = dataplane.follow((some) => events.push(...some));
  const client = spawn('ip', [
    ...['netns', 'exec', world.outer, 'socat', '-t1', '-', `TCP4:${VIP}:80,sourceport=4000`],
  ]);
  t.teardown(() => client.kill('SIGKILL'));
  client.stdin.write('hello');
  const answer = await new Promise((resolve) => {
    client.stdout.once('data', (data: Buffer) => {
      resolve(data.toString());
    });
  });
  t.equal(answer, 'hello');
  const flow = {
    protocol: 'tcp',
    client: '203.0.113.100:4000',
    vip: `${VIP}:80`,
    snat: /^192\.0\.2\.5:\d+$/,
    member: /^192\.0\.2\.1[12]:8000$/,
    listenerId: 'web',
    memberId: /^m[01]$/,
  } as const;
  t.match(dataplane.flows({}), [{ ...flow, state: 'open' }]);
  t.equal(dataplane.flows({ client: '203.0.113.100' }).length, 1);
  t.equal(dataplane.flows({ listenerId: 'other' }).length, 0);
  t.equal(dataplane.flows({ limit: 0 }).length, 0);
  t.match(dataplane.counters().listeners['web'], { open: 1, flows: 1 });

  client.stdin.end();
  await new Promise((resolve) => client.once('close', resolve));
  await sleep(600);
  const { open, flows, rxBytes, txBytes } = dataplane.counters().listeners['web'] ?? {};
  t.strictSame({ open, flows }, { open: 0, flows: 1 });
  t.ok(rxBytes === 5 && txBytes === 5, `payload: ${rxBytes} and ${txBytes} bytes`);
  t.match(events, [
    { ...flow, type: 'open' },
    { ...flow, type: 'close', reset: false, rxBytes: 5, txBytes: 5 },
  ]);
  t.equal(dataplane.counters().eventsLost, 0);
  unfollow();
});

t.test('UDP flows end with their member at once, others stay', async (t) => {
  const { dataplane, apply, udp } = await start(t);
  await apply(dnsOf(...members));
  for (let port = 5000; port < 5010; port++) t.equal(udp('ping', port), 'ping');
  const perMember = () => {
    const flows = dataplane.flows({ listenerId: 'dns' });
    return [0, 1].map((i) => flows.filter(({ memberId }) => memberId === `m${i}`).length);
  };
  t.strictSame(perMember(), [5, 5]);
  await apply(dnsOf(...members.slice(1)));
  t.strictSame(perMember(), [0, 5]);
  t.match(dataplane.counters().listeners['dns'], { open: 5, flows: 10 });
  for (let port = 5000; port < 5010; port++) t.equal(udp('pong', port), 'pong', 'rebalanced');
  t.strictSame(perMember(), [0, 10]);
});

t.test('TCP connections stay with a member that is removed', async (t) => {
  const { world, dataplane, apply } = await start(t);
  const [first = member('m0', ''), second = member('m1', '')] = members;
  await apply(listener('web', [pool([first])], { vips: [at(VIP, 80)] }));
  const client = spawn('ip', ['netns', 'exec', world.outer, 'socat', '-', `TCP4:${VIP}:80`]);
  t.teardown(() => client.kill('SIGKILL'));
  const say = (text: string): Promise<string> =>
    new Promise((resolve) => {
      client.stdout.once('data', (data: Buffer) => {
        resolve(data.toString());
      });
      client.stdin.write(text);
    });
  t.equal(await say('one'), 'one');
  await apply(listener('web', [pool([second])], { vips: [at(VIP, 80)] }));
  await dataplane.sweep();
  await dataplane.sweep();
  t.equal(await say('two'), 'two');
  t.match(dataplane.counters().listeners['web'], { open: 1 });
  await apply();
  t.equal(
    await say('three'),
    'three',
    'also when the listener is gone, as with a reload of HAProxy',
  );
});

t.test('kill -9 of the agent and another one: the connection and the counters go on', async (t) => {
  const { world, dataplane, apply } = await start(t);
  await apply(web);
  t.equal(world.outside('hello', 'socat', '-t0.5', '-', `TCP4:${VIP}:80`), 'hello');
  const before = dataplane.counters().listeners['web'];
  dataplane.close(); // lets go of everything without a word, as the kernel does for a killed process
  t.equal(
    world.outside('again', 'socat', '-t0.5', '-', `TCP4:${VIP}:80`),
    'again',
    'nobody is there',
  );
  const next = world.dataplane();
  await next.start();
  const after = next.counters().listeners['web'];
  t.equal(before?.flows, 1);
  t.match(after, { flows: 2, rxBytes: 10, txBytes: 10 });
});
