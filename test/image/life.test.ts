// SPDX-License-Identifier: Apache-2.0
// What an amphora lives through while flows go on: a new certificate, the agent's death, a new agent, a full disk.
import t from 'tap';
import { makeServerPem } from '../support/image/config-drive.js';
import { BOOT_MS, makeImageBed, upgradeAgent } from '../support/image/image-bed.js';
import {
  meanwhile,
  NOTHING,
  startHttpMembers,
  untilHttp,
  untilTcp,
} from '../support/image/serving.js';
import type { ListenerSpec, MemberSpec } from '../support/load-balancer-config.js';
import { until } from '../support/run.js';
import { MANAGEMENT, VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

const members: readonly MemberSpec[] = [{ member: 'm1' }, { member: 'm2' }];
const tcp: ListenerSpec = { fixture: 'a01-tcp', port: 8080, members };
const later: ListenerSpec = { fixture: 'a01-tcp', port: 8082, members };
const http: ListenerSpec = { fixture: 'a16-http', port: 8090, members };

/** In large files, then in small ones, until not even one byte can be added. */
const FILL =
  'for size in 64M 1M 64k 4k 1; do' +
  '  i=0; while head -c $size /dev/zero > /fill-$size-$i 2>&-; do i=$((i+1)); done; ' +
  'done; df --output=avail / | tail -n 1';

t.test('the life of an amphora', async (t) => {
  const bed = await makeImageBed(t, { hook: 'auto', ports: [tcp.port, later.port] });
  const { world, vm, controller } = bed;
  startHttpMembers(t, world, http.port);
  const flows = new Flows(world.client, VIP.v4, tcp.port);
  t.teardown(() => flows.stop());
  const agentPid = async (): Promise<string> =>
    (await vm.shell.run('systemctl show -p MainPID --value amphora-agent')).trim();
  const untilAnotherThan = async (pid: string): Promise<void> => {
    await until('another one runs', async () => !['0', pid].includes(await agentPid()), 600_000);
    await controller.waitForAgent(BOOT_MS);
  };
  t.test('HTTP goes through HAProxy, TCP beside it', async (t) => {
    await bed.push(tcp, http);
    await untilHttp(world.client, http.port, 300_000);
    t.match(await vm.shell.run('systemctl list-units --plain --no-legend "haproxy-*"'), 'running');
    t.match(await flows.open(20, { timeoutMs: 60_000 }), { opened: 20, members: { m1: 10 } });
  });

  t.test('a new certificate is in force at the next handshake', async (t) => {
    const serial = async (): Promise<string> => {
      const connect = `openssl s_client -connect ${MANAGEMENT.amphora}:9443 </dev/null 2>/dev/null`;
      const pipe = `${connect} | openssl x509 -noout -serial`;
      return (await world.management.exec('sh', '-c', pipe)).trim();
    };
    const before = await serial();
    t.match(before, /^serial=/);
    await controller.must('PUT', '/1.0/certificate', await makeServerPem());
    t.not(await serial(), before);
    t.match(await controller.call('GET', '/1.0/info'), { status: 200 });
    t.match(await flows.check(), { right: 20, lost: 0 });
  });

  t.test('an agent that is killed comes back, and flows never notice', async (t) => {
    const before = await agentPid();
    const found = await meanwhile(flows, async () => {
      await vm.shell.run(`kill -KILL ${before}`);
      await untilAnotherThan(before);
    });
    t.strictSame(found, NOTHING);
    t.match(await vm.shell.run('amphoractl status'), 'maps adopted');
    await untilTcp(world.client, tcp.port, 300_000);
  });

  t.test('an agent that hangs is replaced by the watchdog', async (t) => {
    const before = await agentPid();
    const found = await meanwhile(flows, async () => {
      await vm.shell.run(`kill -STOP ${before}`);
      await untilTcp(world.client, tcp.port, 300_000);
      await untilAnotherThan(before);
    });
    t.strictSame(found, NOTHING);
  });

  t.test('a new agent takes over, and flows never notice', async (t) => {
    const before = await agentPid();
    t.strictSame(await meanwhile(flows, () => upgradeAgent(bed)), NOTHING);
    t.not(await agentPid(), before);
    await bed.push(tcp, http, later);
    await untilTcp(world.client, later.port, 300_000);
    t.match(await flows.check(), { right: 20 }, 'all are still there');
  });

  t.test('a full disk harms what is new, not what is', async (t) => {
    const found = await meanwhile(flows, async () => {
      t.equal(Number(await vm.shell.run(FILL, 600_000)), 0, 'nothing is left');
      t.match(await controller.call('GET', '/1.0/info'), { status: 200 });
      await untilTcp(world.client, tcp.port, 300_000);
      const refused = await bed.push(tcp, http).then(
        () => 'accepted',
        (error: unknown) => String(error),
      );
      t.match(refused, /^Error: PUT \S+: 500 /, 'an upload is refused');
      await untilTcp(world.client, later.port, 300_000);
      await untilHttp(world.client, http.port, 300_000);
      await vm.shell.run('rm /fill-*; sync');
      await bed.push(tcp, http);
      await untilTcp(world.client, tcp.port, 300_000);
      await untilHttp(world.client, http.port, 300_000);
    });
    t.strictSame(found, NOTHING);
    t.match(await flows.check(), { right: 20 }, 'all are still there');
  });

  t.test('nothing has failed', async (t) => {
    t.equal(await vm.shell.run('systemctl --failed --plain --no-legend'), '');
  });
});
