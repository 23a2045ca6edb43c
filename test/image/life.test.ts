// SPDX-License-Identifier: Apache-2.0
// What an amphora lives through: new certificates, a new agent, a full disk, a power cut.
import t from 'tap';
import { BOOT_MS, makeImageBed, upgradeAgent } from '../support/image/image-bed.js';
import { makeServerPem } from '../support/image/config-drive.js';
import type { ListenerSpec, MemberSpec } from '../support/load-balancer-config.js';
import { ended, until } from '../support/run.js';
import { MANAGEMENT, VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

const members: readonly MemberSpec[] = [{ member: 'm1' }, { member: 'm2' }];
const tcp: ListenerSpec = { fixture: 'a01-tcp', port: 8080, members };
const later: ListenerSpec = { fixture: 'a01-tcp', port: 8082, members };
const http: ListenerSpec = { fixture: 'a16-http', port: 8090, members };

const HTTP_SERVER = `
  require('node:http').createServer((request, response) => {
    response.end(process.argv[1] + ' ' + request.headers['x-forwarded-for']);
  }).listen(${http.port}, '::')`;

t.test('the life of an amphora', async (t) => {
  const bed = await makeImageBed(t, { hook: 'auto', ports: [tcp.port, later.port] });
  const { world, vm, controller } = bed;
  for (const name of ['m1', 'm2'] as const) {
    const args = ['--pdeathsig', 'KILL', process.execPath, '-e', HTTP_SERVER, name];
    const server = world.members[name].spawn('setpriv', args, { stdio: 'ignore' });
    t.teardown(async () => {
      server.kill();
      await ended(server);
    });
  }
  const get = (): Promise<string> =>
    world.client.exec('curl', '-sf', '--max-time', '60', `http://${VIP.v4}:${http.port}/`);
  /** New connections, until a whole handful is served. */
  const serves = (timeoutMs: number): Promise<true> =>
    until(
      'new connections are served',
      async () => {
        const flows = new Flows(world.client, VIP.v4, tcp.port);
        const { members: found } = await flows.open(4, { timeoutMs: 60_000 });
        await flows.stop();
        return found['m1'] === 2 && found['m2'] === 2;
      },
      timeoutMs,
    );
  const flows = new Flows(world.client, VIP.v4, tcp.port);
  t.teardown(() => flows.stop());

  t.test('HTTP goes through HAProxy, TCP beside it', async (t) => {
    await bed.push(tcp, http);
    const names = new Set<string>();
    await until(
      'both members answer',
      async () => {
        names.add(await get().catch(() => ''));
        return names.has('m1 undefined') && names.has('m2 undefined');
      },
      300_000,
    );
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

  t.test('a new agent takes over, and flows never notice', async (t) => {
    const pid = (): Promise<string> =>
      vm.shell.run('systemctl show -p MainPID --value amphora-agent');
    const before = await pid();
    const running = flows.check(20, 2000);
    await upgradeAgent(bed);
    t.not(await pid(), before);
    t.match(await running, { right: 400, wrong: 0, lost: 0, closed: 0 });
    await bed.push(tcp, http, later);
    const other = new Flows(world.client, VIP.v4, later.port);
    t.match(await other.open(4, { timeoutMs: 60_000 }), { members: { m1: 2, m2: 2 } });
    await other.stop();
  });

  t.test('a full disk harms what is new, not what is', async (t) => {
    const fill =
      'i=0; while fallocate -l $(($(df --output=avail -B4096 / | tail -n 1) * 4096)) /fill$i 2>&- || ' +
      'dd if=/dev/zero of=/fill$i bs=64k count=400 2>&-; do i=$((i+1)); [ $i -lt 12 ] || break; done; ' +
      'df --output=avail / | tail -n 1';
    t.equal(Number(await vm.shell.run(fill, 600_000)), 0, 'nothing is left');
    t.match(await controller.call('GET', '/1.0/info'), { status: 200 });
    t.match(await flows.check(), { right: 20, lost: 0 });
    await serves(300_000);
    const refused = await bed.push(tcp, http).then(
      () => 'accepted',
      (error: unknown) => String(error),
    );
    t.comment(`an upload to a full disk: ${refused}`);
    t.match(await flows.check(), { right: 20, lost: 0 });
    await vm.shell.run('rm /fill*; sync');
    await bed.push(tcp, http);
    t.match(await flows.check(), { right: 20, lost: 0 });
    await serves(300_000);
  });

  t.test(
    'after a power cut everything serves again without a word from the controller',
    async (t) => {
      await flows.stop();
      await vm.shell.run('sync');
      await vm.reset();
      await serves(BOOT_MS);
      t.pass('TCP');
      await until('HTTP', async () => (await get().catch(() => '')).startsWith('m'), BOOT_MS);
      t.pass('HTTP through HAProxy');
      await controller.waitForAgent(BOOT_MS);
      const info = await controller.must('GET', '/1.0/info');
      t.equal(info.status, 200);
      const listeners = await controller.must('GET', '/1.0/listeners');
      t.match(listeners.body, /"provisioning_status"|"status"|"uuid"/);
      t.match(listeners.body, 'ACTIVE');
    },
  );
});
