// SPDX-License-Identifier: Apache-2.0
// A config drive's files on their way into the machine.
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { placeDrive } from '../../agent/shell/config-drive.js';

const log = pino({ level: 'silent' });
const CONTENT = {
  '/etc/octavia/amphora-agent.conf': 'conf',
  '/etc/octavia/certs/server.pem': 'pem',
  '/etc/octavia/certs/client_ca.pem': 'ca',
  '/etc/rsyslog.d/10-rsyslog.conf': 'rsyslog',
} as const;

const makeDrive = (t: Test, content: Readonly<Record<string, string>> = CONTENT) => {
  const directory = t.testdir({ drive: {}, root: {} });
  const [drive, root] = [join(directory, 'drive'), join(directory, 'root')];
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(drive, 'openstack', name)), { recursive: true });
    writeFileSync(join(drive, 'openstack', name), text);
  };
  const entries = Object.entries(content);
  for (const [i, [, text]] of entries.entries()) write(`content/000${i}`, text);
  const files = entries.map(([path], i) => ({ path, content_path: `/content/000${i}` }));
  const describe = (uuid: string): void => {
    write('latest/meta_data.json', JSON.stringify({ uuid, files, hostname: 'amphora-1' }));
  };
  describe('first');
  const links = [{ id: 'l', type: 'ovs', ethernet_mac_address: 'fa:16:3e:00:00:02' }];
  const networks = [{ link: 'l', type: 'ipv4_dhcp' }];
  write('latest/network_data.json', JSON.stringify({ links, networks }));
  const read = (path: string): string => readFileSync(root + path, 'utf8');
  return { drive, root, write, read, describe, place: () => placeDrive(drive, { root, log }) };
};

t.test('everything gets its place and mode', async (t) => {
  const { place, read, root } = makeDrive(t);
  mkdirSync(join(root, 'etc/octavia'), { recursive: true });
  writeFileSync(join(root, 'etc/octavia/amphora-agent.conf'), 'of the image', { mode: 0o666 });
  t.strictSame(await place(), {
    files: Object.keys(CONTENT),
    isComplete: true,
    hasNetwork: true,
  });
  for (const [path, text] of Object.entries(CONTENT)) t.equal(read(path), text);
  const mode = (path: string): number => statSync(root + path).mode & 0o777;
  t.equal(mode('/etc/octavia/amphora-agent.conf'), 0o600);
  t.equal(mode('/etc/octavia/certs/server.pem'), 0o600);
  t.equal(mode('/etc/octavia/certs/client_ca.pem'), 0o644);
  t.equal(read('/etc/hostname'), 'amphora-1\n');
  t.match(read('/run/systemd/network/10-amphora-fa163e000002.network'), /DHCP=ipv4/);
});

t.test('a reboot keeps what was changed since, and brings back what was lost', async (t) => {
  const { place, read, root } = makeDrive(t);
  await place();
  writeFileSync(`${root}/etc/octavia/certs/server.pem`, 'rotated');
  writeFileSync(`${root}/etc/octavia/amphora-agent.conf`, 'updated');
  rmSync(`${root}/etc/octavia/certs/client_ca.pem`);
  const { files, isComplete } = await place();
  t.strictSame(files, ['/etc/octavia/certs/client_ca.pem']);
  t.ok(isComplete);
  t.equal(read('/etc/octavia/certs/server.pem'), 'rotated');
  t.equal(read('/etc/octavia/amphora-agent.conf'), 'updated');
  t.equal(read('/etc/octavia/certs/client_ca.pem'), 'ca');
});

t.test('another machine from the same disk is a first boot', async (t) => {
  const { place, read, root, describe } = makeDrive(t);
  await place();
  writeFileSync(`${root}/etc/octavia/certs/server.pem`, 'of the other');
  describe('second');
  await place();
  t.equal(read('/etc/octavia/certs/server.pem'), 'pem');
});

t.test(
  'files by user data: the drive alone is not enough, and the next boot looks again',
  async (t) => {
    const { place, root } = makeDrive(t, {});
    t.match(await place(), { files: [], isComplete: false, hasNetwork: true });
    for (const path of Object.keys(CONTENT)) {
      mkdirSync(dirname(root + path), { recursive: true });
      writeFileSync(root + path, 'of user data');
    }
    t.match(await place(), { files: [], isComplete: true });
  },
);

t.test('nothing is read from outside the drive, nothing large', async (t) => {
  const { place, drive, write } = makeDrive(t);
  const content = join(drive, 'openstack/content/0001');
  rmSync(content);
  symlinkSync('/etc/hostname', content);
  await t.rejects(place(), /leads out of the drive/);
  rmSync(content);
  write('content/0001', 'x'.repeat(300_000));
  await t.rejects(place(), /too many/);
});

t.test('a network that is not understood leaves the rest as it is', async (t) => {
  const { place, write } = makeDrive(t);
  write('latest/network_data.json', '{"links": [{"type": "bond"}]}');
  t.match(await place(), { isComplete: true, hasNetwork: false });
});
