// SPDX-License-Identifier: Apache-2.0
// Members that die and come back: by monitor, and by what they answer to a SYN.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';
import { sleep, until } from '../support/run.js';

const check = { interSeconds: 1, fall: 2, rise: 2 };
const monitored: ListenerSpec = {
  fixture: 'a05-hm-tcp',
  port: 8001,
  members: [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }],
  check,
};
const backed: ListenerSpec = {
  fixture: 'a12-backup',
  port: 8002,
  members: [{ member: 'm1' }, { member: 'm2', backup: true }],
  check,
};
const unmonitored: ListenerSpec = { ...monitored, fixture: 'a01-tcp', port: 8003 };
/** What the issue of a monitor may take: fall x inter, and a second for the way into the maps. */
const PATIENCE_MS = check.fall * check.interSeconds * 1000 + 1000;

t.test('members that die', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002, 8003] });
  const { client, members } = bed.world;
  await bed.push(monitored, backed, unmonitored);

  const open = async (port: number, count: number, timeoutMs = 5000) => {
    const flows = new Flows(client, VIP.v4, port);
    const result = await flows.open(count, { timeoutMs });
    await flows.stop();
    return result;
  };

  t.test('the backup takes over and hands back', async (t) => {
    t.strictSame((await open(8002, 10)).members, { m1: 10 });
    await bed.servers.get('m1')?.stop();
    const died = Date.now();
    await until(
      'the backup serves',
      async () => (await open(8002, 1, 500)).names[0] === 'm2',
      PATIENCE_MS,
    );
    t.comment(`backup after ${Date.now() - died} ms`);
    t.strictSame((await open(8002, 10)).members, { m2: 10 });
    await bed.startServer('m1');
    await until('m1 is back', async () => (await open(8002, 1)).names[0] === 'm1', PATIENCE_MS);
    await sleep(100);
    t.strictSame((await open(8002, 10)).members, { m1: 10 });
  });

  t.test('a member that answers RST loses new connections at once', async (t) => {
    await bed.servers.get('m2')?.stop();
    const begun = Date.now();
    const result = await open(8003, 30);
    t.match(result, { opened: 30, refused: 0, timeout: 0 });
    t.strictSame(Object.keys(result.members).sort(), ['m1', 'm3']);
    t.ok(Date.now() - begun < 5000, `30 connections within ${Date.now() - begun} ms`);
    await bed.startServer('m2');
  });

  t.test('a silent member loses new connections by its monitor', async (t) => {
    await until('all serve', async () => Object.keys((await open(8001, 3)).members).length === 3);
    await members.m3.ip('link set eth0 down');
    const died = Date.now();
    const meanwhile = open(8001, 6, 8000); // some of these meet the dead member first
    await sleep(PATIENCE_MS);
    const result = await open(8001, 30, 500);
    t.match(result, { opened: 30, timeout: 0, refused: 0 }, `${PATIENCE_MS} ms after its death`);
    t.strictSame(Object.keys(result.members).sort(), ['m1', 'm2']);
    const even = async () => (await open(8001, 10, 500)).members['m1'] === 5;
    await until('the monitor has taken it out of the order', even, 3000);
    t.comment(`out of the order ${Date.now() - died} ms after its death`);
    t.match(await meanwhile, { opened: 6 }, 'and those before came through on another member');
    await members.m3.ip(
      'link set eth0 up',
      'address replace 2001:db8:1::c/64 dev eth0',
      'route replace default via 10.1.0.1',
    );
    await until(
      'm3 is back',
      async () => (await open(8001, 3)).members['m3'] !== undefined,
      15_000,
    );
    t.comment(`round trip ${Date.now() - died} ms`);
  });

  t.test('no usable member is a refusal, not silence', async (t) => {
    await bed.push(monitored, backed, { ...unmonitored, members: [{ member: 'm1', weight: 0 }] });
    t.match(await open(8003, 3, 1000), { opened: 0, refused: 3, timeout: 0 });
    await bed.push(monitored, backed, unmonitored);
  });
});
