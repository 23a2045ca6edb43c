// SPDX-License-Identifier: Apache-2.0
// A first boot with `user_data_config_drive = True`: the controller's files come by cloud-init, late, and user data
// restarts the agent as soon as they are there.
import t from 'tap';
import { BOOT_MS, bootImage } from '../support/image/image-bed.js';

t.test('the agent’s files come by user data', async (t) => {
  const { vm, controller } = await bootImage(t, { filesInUserData: true });
  await controller.waitForAgent(BOOT_MS);
  t.comment(`${vm.cpuSeconds()} s of emulator CPU to the answer over mutual TLS`);
  await vm.shell.wait(BOOT_MS);
  t.match(await vm.shell.run('cloud-init status --wait', BOOT_MS), 'done');

  t.test('the agent has said what it waited for', async (t) => {
    const journal = await vm.shell.run('journalctl -b --no-pager -o cat -u amphora-agent');
    t.match(journal, /"missing":"[^"]*amphora-agent\.conf[^"]*".*not ready to start, waiting/);
    t.match(journal, 'Stopping amphora-agent.service', 'user data has restarted it');
    t.equal((await vm.shell.run('systemctl show -p NRestarts --value amphora-agent')).trim(), '0');
    t.match(await vm.shell.run('systemctl status amphora-agent'), 'serving on port 9443');
    t.match(await controller.must('GET', '/1.0/info'), { status: 200 });
  });

  t.test('what others wrote is root’s all the same', async (t) => {
    for (const [path, expected] of [
      ['/etc/octavia/amphora-agent.conf', '600 root:root'],
      ['/etc/octavia/certs/server.pem', '600 root:root'],
      ['/etc/octavia/certs/client_ca.pem', '644 root:root'],
    ] as const) {
      t.equal((await vm.shell.run(`stat -c '%a %U:%G' ${path}`)).trim(), expected, path);
    }
  });

  t.test('nothing has failed', async (t) => {
    t.equal(await vm.shell.run('systemctl --failed --plain --no-legend'), '');
  });
});
