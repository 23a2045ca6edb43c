// SPDX-License-Identifier: Apache-2.0
// What the health manager hears of a real agent: traffic counted once, members that die, kills and new configs.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { makeBed } from '../support/bed.js';
import { Heartbeats } from '../support/heartbeats.js';
import { listenerId, type ListenerSpec } from '../support/load-balancer-config.js';
import { MANAGEMENT, VIP } from '../support/topology.js';
import { datagrams, Flows } from '../support/traffic.js';
import { sleep } from '../support/run.js';

const CONFIG = '/etc/octavia/amphora-agent.conf';
const KEYS = { delivered: 'insecure-test-key', next: 'another-test-key' } as const;
const tcp: ListenerSpec = {
  fixture: 'a05-hm-tcp',
  port: 8001,
  members: [{ member: 'm1' }, { member: 'm2' }],
  check: { interSeconds: 1, fall: 2, rise: 2 },
};
const udp: ListenerSpec = { ...tcp, fixture: 'a36-udp', port: 5301 };
const ids = { tcp: listenerId(8001), udp: listenerId(5301) };

t.test('heartbeats of a working amphora', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 5301] });
  const { client, management } = bed.world;
  const heartbeats = await Heartbeats.start(management, [5555, 5556], Object.values(KEYS));
  t.teardown(() => heartbeats.stop());

  const config = (changes: readonly (readonly [RegExp, string])[]): string =>
    changes.reduce(
      (text, [pattern, line]) => text.replace(pattern, line),
      readFileSync(bed.vm.path(CONFIG), 'utf8'),
    );
  const putConfig = async (...changes: readonly (readonly [RegExp, string])[]) => {
    const { status } = await bed.controller.call('PUT', '/1.0/config', config(changes));
    t.equal(status, 202);
  };

  t.test('a new config counts at once, the interval of the old one notwithstanding', async (t) => {
    const began = Date.now();
    await putConfig(
      [
        /^controller_ip_port_list = .*$/m,
        `controller_ip_port_list = ${MANAGEMENT.controller}:5556`,
      ],
      [/^heartbeat_interval = .*$/m, 'heartbeat_interval = 1'],
      [/^heartbeat_key = .*$/m, `heartbeat_key = ${KEYS.next}`],
    );
    const { key, message, atMs } = await heartbeats.next(
      'a heartbeat',
      ({ port }) => port === 5556,
    );
    t.equal(key, KEYS.next);
    t.ok(atMs - began < 1000, `after ${atMs - began} ms`);
    t.match(message, { listeners: {}, pools: {}, ver: 3 });
    await sleep(2500);
    const late = heartbeats.heard.filter((one) => one.atMs > atMs);
    t.ok(
      late.length >= 2 && late.every(({ port }) => port === 5556),
      `${late.length} more, none to the old destination`,
    );
    await putConfig([
      /^controller_ip_port_list = .*$/m,
      `controller_ip_port_list = ${MANAGEMENT.controller}:5555,` + `${MANAGEMENT.controller}:5556`,
    ]);
    await sleep(3500);
    const ports = heartbeats.heard.slice(-3).map(({ port }) => port);
    t.equal(new Set(ports).size, 2, `in turn: ${ports.join(' ')}`);
    t.not(ports[0], ports[1]);
    t.not(ports[1], ports[2]);
  });

  await bed.push(tcp);
  await bed.pushUdp(udp);
  /** All that was told since the listeners came. */
  const told = (id: string, what: 'rx' | 'tx' | 'totconns'): number =>
    heartbeats.heard.reduce(
      (sum, { message }) => sum + (message.listeners[id]?.stats[what] ?? 0),
      0,
    );
  const both = ({ message }: { message: { listeners: object } }) =>
    ids.tcp in message.listeners && ids.udp in message.listeners;

  t.test('every connection is told of once, also when the agent is killed', async (t) => {
    await heartbeats.next('both listeners', both);
    const flows = new Flows(client, VIP.v4, 8001);
    t.equal((await flows.open(40)).opened, 40);
    t.match(await flows.check(3), { right: 120 });
    await heartbeats.next(
      'what is open',
      ({ message }) => message.listeners[ids.tcp]?.stats.conns === 40,
    );
    t.equal(told(ids.tcp, 'totconns'), 40);
    const bytes = told(ids.tcp, 'rx');
    t.ok(bytes > 0, `${bytes} bytes`);

    await bed.vm.killAgent('SIGKILL');
    const more = new Flows(client, VIP.v4, 8001);
    t.equal((await more.open(10)).opened, 10, 'while no agent runs');
    bed.vm.startAgent();
    await heartbeats.next('the next agent', ({ message }) => message.seq === 0);
    await heartbeats.next('and its second', both);
    t.equal(told(ids.tcp, 'totconns'), 50);
    await flows.stop();
    await more.stop();
    await heartbeats.next(
      'nothing open',
      ({ message }) => message.listeners[ids.tcp]?.stats.conns === 0,
    );
    t.equal(told(ids.tcp, 'totconns'), 50);
  });

  t.test('datagrams are counted as IPVS would: whole packets', async (t) => {
    const before = { rx: told(ids.udp, 'rx'), tx: told(ids.udp, 'tx') };
    const sent = await datagrams(client, {
      ...{ address: VIP.v4, port: 5301, sockets: 5, rounds: 10, size: 200, pauseMs: 10 },
    });
    t.match(sent, { sent: 50, right: 50 });
    await heartbeats.next('two more', both);
    await heartbeats.next('two more', both);
    t.equal(told(ids.udp, 'rx') - before.rx, 50 * (200 + 8 + 20));
    t.ok(told(ids.udp, 'tx') - before.tx >= 50 * 28);
  });

  t.test('a member that dies is told of, and so is its return', async (t) => {
    const status = (heard: { message: { pools: object } }) => JSON.stringify(heard.message.pools);
    await bed.servers.get('m1')?.stop();
    await heartbeats.next('m1 down', (heard) => status(heard).includes('"DOWN'));
    await bed.startServer('m1');
    await heartbeats.next('m1 up', (heard) => !status(heard).includes('DOWN'));
    await bed.push({ ...tcp, members: [{ member: 'm1', weight: 0 }, { member: 'm2' }] });
    await heartbeats.next('m1 drains', (heard) => status(heard).includes('"DRAIN"'));
    t.pass('DOWN, UP, DRAIN');
  });

  t.test('what was signed was signed by the key of its time', async (t) => {
    const odd = heartbeats.heard.filter(({ key }) => key === null);
    t.equal(odd.length, 0);
  });
});
