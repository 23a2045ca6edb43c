// SPDX-License-Identifier: Apache-2.0
// From power on to the first answer, in the smallest machine that an amphora may get, and what the boot has left.
import t from 'tap';
import { Heartbeats } from '../support/heartbeats.js';
import { BOOT_MS, bootImage, plugPorts } from '../support/image/image-bed.js';
import { bakeImage, isPipeline, lackOfTime, timeLeftMs } from '../support/image/pipeline.js';
import { untilUdp } from '../support/image/serving.js';
import { listenerId, renderLvsListener } from '../support/load-balancer-config.js';
import { inCheckout } from '../support/paths.js';
import { AMPHORA_ID } from '../support/tls.js';
import { MANAGEMENT } from '../support/topology.js';
import { Server } from '../support/traffic.js';

const PKI = inCheckout('test/fixtures/controller-vm/pki');
const PORT = 5300;
const MEMBERS = [{ member: 'm1' }, { member: 'm2' }] as const;

/** The file's own, because the pipeline runs it among others that are short. */
const TIMEOUT_MS = timeLeftMs(3_600_000);
t.setTimeout(TIMEOUT_MS + 60_000);

t.test('a first boot in 512 MB', { skip: lackOfTime(), timeout: TIMEOUT_MS }, async (t) => {
  if (isPipeline) t.comment((await bakeImage()).trim());
  const booted = await bootImage(t, { megabytes: 512 });
  const { vm, controller, world } = booted;
  const heartbeats = await Heartbeats.start(world.management, [5555], ['insecure-test-key']);
  t.teardown(() => heartbeats.stop());
  await controller.waitForAgent(BOOT_MS);
  t.comment(`${vm.cpuSeconds()} s of emulator CPU to the answer over mutual TLS`);
  const info = await controller.must('GET', '/1.0/info');
  t.match(JSON.parse(info.body), { hostname: `amphora-${AMPHORA_ID}` });

  t.test('heartbeats arrive and verify', async (t) => {
    const { message, key } = await heartbeats.next('a heartbeat', () => true, 300_000);
    t.equal(key, 'insecure-test-key');
    t.match(message, { id: AMPHORA_ID, listeners: {} });
  });

  t.test('an intruder gets no answer', async (t) => {
    const ask = (...identity: readonly string[]): Promise<string> => {
      const url = `https://${MANAGEMENT.amphora}:9443/1.0/info`;
      const args = [
        '-sk',
        '--max-time',
        '60',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        ...identity,
      ];
      return world.management.exec('curl', ...args, url);
    };
    t.equal(await ask('--cert', `${PKI}/controller.cert-and-key.pem`), '200');
    await t.rejects(ask('--cert', `${PKI}/intruder.cert-and-key.pem`), 'of another CA');
    await t.rejects(ask(), 'without a certificate');
  });

  await vm.shell.wait(BOOT_MS);

  t.test('files of the controller are root’s', async (t) => {
    const files = [
      ['/etc/octavia/amphora-agent.conf', '600 root:root'],
      ['/etc/octavia/certs/server.pem', '600 root:root'],
      ['/etc/octavia/certs/client_ca.pem', '644 root:root'],
      ['/etc/rsyslog.d/10-rsyslog.conf', '644 root:root'],
    ] as const;
    await vm.shell.run('cloud-init status --wait', BOOT_MS);
    for (const [path, expected] of files) {
      t.equal((await vm.shell.run(`stat -c '%a %U:%G' ${path}`)).trim(), expected, path);
    }
  });

  t.test('it serves', async (t) => {
    const servers = await Promise.all(
      (['m1', 'm2'] as const).map((name) => Server.start(world.members[name], name, [PORT])),
    );
    t.teardown(() => Promise.all(servers.map((server) => server.stop())));
    await plugPorts(booted);
    // Not TCP: its config would be shown to HAProxy, which this machine's processor is too poor for (see the README).
    const config = renderLvsListener({ fixture: 'a36-udp', port: PORT, members: MEMBERS });
    await controller.pushLvsListener(listenerId(PORT), config);
    await untilUdp(world.client, PORT, 300_000);
    t.pass('UDP reaches its members');
  });

  t.test('HAProxy may ask SCTP members', async (t) => {
    const checker = '/usr/local/lib/amphora-xdp/build/commands/amphora-health-checker';
    t.match(await vm.shell.run(`getcap ${checker}`), 'cap_net_raw=ep');
  });

  t.test('nothing failed, and there is memory left', async (t) => {
    t.equal(await vm.shell.run('systemctl --failed --plain --no-legend'), '');
    t.match(await vm.shell.run('cloud-init status'), 'done');
    const memory = /^Mem:\s+(\d+)\s+(\d+)(?:\s+\d+){3}\s+(\d+)/m.exec(
      await vm.shell.run('free -m'),
    );
    const [total, used, available] = (memory ?? []).slice(1).map(Number);
    t.comment(`memory in MB: ${total ?? 0} total, ${used ?? 0} used, ${available ?? 0} available`);
    t.ok((available ?? 0) > 128, 'more than 128 MB are available');
  });
});
