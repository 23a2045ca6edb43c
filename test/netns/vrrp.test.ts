// SPDX-License-Identifier: Apache-2.0
// Two amphorae, two real keepalived: who holds the VIP, what the checks make of a broken datapath, and that an
// agent's death moves nothing.
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { type Half, makePair } from '../support/pair.js';
import { sleep, until } from '../support/run.js';
import { VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

const PORT = 8001;
const listener: ListenerSpec = {
  fixture: 'a01-tcp',
  port: PORT,
  members: [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }],
};
const PID_FILE = '/var/lib/octavia/vrrp/octavia-keepalived.pid';
const LINKS = '/sys/fs/bpf/amphora-xdp/links';

/** Null while the file is not there, which is so for a moment while keepalived starts. */
const pidOf = ({ vm }: Half): string | null => {
  const file = vm.path(PID_FILE);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
};
/** Status of the check as keepalived would get it. */
const check = ({ vm }: Half): Promise<boolean> =>
  vm.execTenant('bash', '/var/lib/octavia/vrrp/check_script.sh').then(
    () => true,
    () => false,
  );

t.test('a VIP moves with the health of the amphorae', async (t) => {
  const { world, master, backup } = await makePair(t, PORT);
  const balanced = async (what: string): Promise<void> => {
    const flows = new Flows(world.client, VIP.v4, PORT);
    t.strictSame((await flows.open(30)).members, { m1: 10, m2: 10, m3: 10 }, what);
    await flows.stop();
  };

  await sleep(3000);
  t.strictSame([await check(master), await check(backup)], [false, false], 'no listener yet');
  t.strictSame([await master.holdsVip(), await backup.holdsVip()], [false, false]);
  t.equal((await master.interfaceOfVip())[0], 404, 'the agent leaves the VIP to keepalived');

  // One after the other, as the controller does: without preemption whoever is fit first takes it.
  await master.push(listener);
  await until('the master takes the VIP', () => master.holdsVip(), 15_000);
  await backup.push(listener);
  await until('the backup is fit', () => check(backup));
  await sleep(1500);
  t.equal(await backup.holdsVip(), false, 'exactly one has it');
  t.strictSame(await master.interfaceOfVip(), [200, '{"message":"OK","interface":"eth1"}']);
  t.equal((await backup.interfaceOfVip())[0], 404);
  t.strictSame([await check(master), await check(backup)], [true, true], 'both could serve');
  await balanced('through the master');

  const pid = pidOf(master);
  await master.vm.killAgent('SIGKILL');
  await sleep(4000);
  t.ok(await master.holdsVip(), 'an agent that died moves nothing');
  await balanced('while no agent runs');

  // The program is taken off the VIP's interface: nothing serves there, though everything else runs.
  const number = await master.vm.execTenant('cat', '/proc/net/igmp');
  const ifindex = /^(\d+)\s+eth1/m.exec(number)?.[1] ?? '';
  await master.vm.exec('bpftool', 'link', 'detach', 'pinned', `${LINKS}/${ifindex}`);
  t.equal(await check(master), false, 'the check sees it');
  await until('the backup takes the VIP', () => backup.holdsVip(), 15_000);
  await until('the master lets go', async () => !(await master.holdsVip()), 15_000);
  await balanced('through the backup');

  master.vm.startAgent();
  await master.controller.waitForAgent();
  t.equal(pidOf(master), pid, 'the next agent adopts the keepalived that runs');
  await until('the check passes again', () => check(master), 10_000);
  await sleep(4000);
  t.ok(await backup.holdsVip(), 'no preemption');
  const { status, body } = await master.controller.call('PUT', '/1.0/vrrp/start');
  t.strictSame([status, body.includes('keepalived reloaded')], [202, true]);
  await sleep(1000);
  t.equal(pidOf(master), pid, 'a reload is no restart');

  await backup.vm.destroy();
  await until('VRRP notices the dead VM', () => master.holdsVip(), 15_000);
  await balanced('through the master again');
});

t.test('a keepalived that dies comes back', async (t) => {
  const { master } = await makePair(t, PORT);
  const pid = pidOf(master);
  await master.vm.exec('kill', '-KILL', String(pid));
  await until(
    'another runs',
    async () => {
      const next = pidOf(master);
      return next !== null && next !== pid && (await alive(master, next));
    },
    15_000,
  );
  const { status, body } = await master.controller.call('PUT', '/1.0/vrrp/stop');
  t.strictSame([status, body.includes('keepalived stoped')], [202, true]);
  await sleep(1500);
  const none = (): Promise<string> => master.vm.exec('pgrep', '-x', 'keepalived').catch(() => '');
  t.equal(await none(), '', 'and stays so');
  await master.vm.killAgent('SIGKILL');
  master.vm.startAgent();
  await master.controller.waitForAgent();
  await sleep(1500);
  t.equal(await none(), '', 'over a restart of the agent, too');
});

const alive = ({ vm }: Half, pid: string): Promise<boolean> =>
  vm.exec('kill', '-0', pid).then(
    () => true,
    () => false,
  );
