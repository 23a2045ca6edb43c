// SPDX-License-Identifier: Apache-2.0
// SCTP from kernel to kernel: a second guest is client and servers, the amphora between them forwards by XDP.
import t from 'tap';
import { Heartbeats } from '../support/heartbeats.js';
import { plugPorts, restoreImage, restorePeer } from '../support/image/image-bed.js';
import type { ImageVm } from '../support/image/image-vm.js';
import {
  listenerId,
  memberId,
  poolId,
  renderLvsListener,
  type ListenerSpec,
} from '../support/load-balancer-config.js';
import { until } from '../support/run.js';
import { MEMBERS, VIP } from '../support/topology.js';

const CLIENT = '10.0.0.40';
const PORT = 3868;
const KEY = 'insecure-test-key';
const spec: ListenerSpec = {
  fixture: 'a39-sctp',
  port: PORT,
  members: [{ member: 'm1' }, { member: 'm2' }],
};
/** The shortest that a controller accepts, so that the test need not wait. */
const config = renderLvsListener(spec)
  .replace(/delay_loop \d+/, 'delay_loop 2')
  .replace(/delay_before_retry \d+/, 'delay_before_retry 2')
  .replace(/retry \d+/, 'retry 2')
  .replaceAll('sctp -t 5', 'sctp -t 2')
  .replaceAll(/misc_timeout \d+/g, 'misc_timeout 2');

interface Result {
  readonly opened: number;
  readonly failed: number;
  readonly right: number;
  readonly wrong: number;
  readonly lost: number;
  readonly members: Readonly<Record<string, number>>;
}

const layNetworks = (peer: ImageVm): Promise<string> =>
  peer.shell.run(
    [
      'modprobe sctp',
      'for n in client members; do ip netns add $n; ip -n $n link set lo up; done',
      'ip link set vip0 netns client',
      `ip -n client address add ${CLIENT}/24 dev vip0`,
      'ip -n client link set vip0 up',
      'ip link set member0 netns members',
      `ip -n members address add ${MEMBERS.m1.v4}/24 dev member0`,
      `ip -n members address add ${MEMBERS.m2.v4}/24 dev member0`,
      'ip -n members link set member0 up',
    ].join(' && '),
  );

const startServer = (peer: ImageVm, name: 'm1' | 'm2'): Promise<string> =>
  peer.shell.run(
    `TOOLS_STAY=1 systemd-run --quiet --unit=sctp-${name} -E TOOLS_STAY=1 ` +
      `ip netns exec members /mnt/tools/sctp serve ${name} ${MEMBERS[name].v4} ${PORT}`,
  );

const open = async (peer: ImageVm, count: number, rounds: number): Promise<Result> => {
  const words = ['sctp open', VIP.v4, PORT, count, rounds, CLIENT].join(' ');
  const output = await peer.shell.run(`ip netns exec client /mnt/tools/${words}`, 600_000);
  return JSON.parse(output) as Result;
};

t.test('associations through the VIP', async (t) => {
  const booted = await restoreImage(t);
  const { world, controller, vm } = booted;
  // Their addresses are those of the second guest's servers.
  await world.members.m1.ip('link set eth0 down');
  await world.members.m2.ip('link set eth0 down');
  await plugPorts(booted);
  const peer = await restorePeer(t, booted);
  await layNetworks(peer);
  await startServer(peer, 'm1');
  await startServer(peer, 'm2');
  const heartbeats = await Heartbeats.start(world.management, [5555], [KEY]);
  t.teardown(() => heartbeats.stop());
  await controller.pushLvsListener(listenerId(PORT), config);

  const states = (): Readonly<Record<string, string>> => {
    const pools = heartbeats.heard.at(-1)?.message.pools ?? {};
    return (
      pools[poolId(PORT)]?.members ?? pools[`${poolId(PORT)}:${listenerId(PORT)}`]?.members ?? {}
    );
  };
  const isUp = (member: 'm1' | 'm2') => states()[memberId(PORT, member)]?.startsWith('UP') === true;
  await until('both are up', async () => isUp('m1') && isUp('m2'), 600_000).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(states())}`);
    },
  );

  t.test('100 associations, each member its share', async (t) => {
    const result = await open(peer, 100, 5);
    t.match(result, { opened: 100, failed: 0, right: 500, wrong: 0, lost: 0 });
    t.strictSame(result.members, { m1: 50, m2: 50 });
    const flows = await vm.shell.run('amphoractl stats');
    t.comment(flows);
  });

  t.test('a dead server is noticed, and comes back', async (t) => {
    await peer.shell.run('systemctl stop sctp-m2');
    const isDown = async () => states()[memberId(PORT, 'm2')]?.startsWith('DOWN') === true;
    await until('the monitor notices', isDown, 600_000);
    const result = await open(peer, 10, 1);
    t.match(result, { opened: 10, right: 10 });
    t.strictSame(result.members, { m1: 10 });
    await startServer(peer, 'm2');
    await until('the monitor forgives', async () => isUp('m2'), 600_000);
    t.strictSame((await open(peer, 10, 1)).members, { m1: 5, m2: 5 });
  });
});
