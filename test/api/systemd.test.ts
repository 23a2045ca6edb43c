// SPDX-License-Identifier: Apache-2.0
// Units on disk and the calls to systemctl, by a systemctl that writes down what it was asked.
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { renderNetnsUnit } from '../../agent/core/units/netns-unit.js';
import type { Service } from '../../agent/shell/services.js';
import { Systemd } from '../../agent/shell/systemd.js';

const service: Service = {
  name: 'octavia-keepalived',
  program: '/usr/sbin/keepalived',
  args: [],
  foregroundArgs: [],
  pidFile: '/x.pid',
  reloadSignal: 'SIGHUP',
  unit: '[Service]\nExecStart=/usr/sbin/keepalived\n',
};

/** A systemd whose answers are in the test's hands: `active` and `refuse` are files in its directory. */
const makeSystemd = (directory: string) => {
  const log = join(directory, 'calls');
  const script = `#!/bin/sh
echo "$*" >> "${log}"
case $1 in is-active) [ -e "${directory}/active" ] ;; *) ! [ -e "${directory}/refuse" ] || { echo "no such unit" >&2; exit 5; } ;; esac
`;
  writeFileSync(join(directory, 'systemctl'), script);
  chmodSync(join(directory, 'systemctl'), 0o755);
  const { PATH = '' } = process.env;
  if (!PATH.startsWith(directory)) process.env['PATH'] = `${directory}:${PATH}`;
  const unitDirectory = join(directory, 'units');
  const calls = (): string[] => {
    const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
    rmSync(log, { force: true });
    return text.split('\n').filter((line) => line !== '');
  };
  const netnsUnit = renderNetnsUnit({
    namespace: 'amphora-haproxy',
    prepare: ['/usr/bin/node', '/a b.js', 'prepare'],
    pluggedInterfacesFile: '/var/lib/octavia/plugged_interfaces',
  });
  return { systemd: new Systemd({ unitDirectory, netnsUnit }), calls, unitDirectory };
};

t.test('units are written once, and again when their text changes', async (t) => {
  const { systemd, calls, unitDirectory } = makeSystemd(t.testdir());
  const unit = join(unitDirectory, 'octavia-keepalived.service');
  const netns = join(unitDirectory, 'amphora-netns.service');
  await systemd.enable(service);
  t.strictSame(calls(), ['daemon-reload', 'enable octavia-keepalived.service']);
  t.equal(readFileSync(unit, 'utf8'), service.unit);
  t.strictSame([statSync(unit).mode & 0o777, statSync(netns).mode & 0o777], [0o644, 0o644]);
  const text = readFileSync(netns, 'utf8');
  t.match(text, /^RemainAfterExit=yes$/m);
  t.match(text, / \/var\/lib\/octavia\/plugged_interfaces \/usr\/bin\/node "\/a b.js" prepare$/m);
  await systemd.start(service);
  const start = ['enable octavia-keepalived.service', 'start octavia-keepalived.service'];
  t.strictSame(calls(), start, 'nothing to reload');
  writeFileSync(netns, 'of an older agent');
  await systemd.reload({ ...service, unit: `${service.unit}Restart=always\n` });
  t.strictSame(calls(), ['daemon-reload', 'reload octavia-keepalived.service']);
  t.match(readFileSync(unit, 'utf8'), /Restart=always/);
  t.equal(readFileSync(netns, 'utf8'), text);
});

t.test('halt keeps the unit for the next boot, stop removes it', async (t) => {
  const { systemd, calls, unitDirectory } = makeSystemd(t.testdir());
  const unit = join(unitDirectory, 'octavia-keepalived.service');
  await systemd.start(service);
  await systemd.halt(service);
  t.ok(existsSync(unit));
  await systemd.stop(service);
  t.notOk(existsSync(unit));
  t.strictSame(calls().slice(-3), [
    'stop octavia-keepalived.service',
    'disable octavia-keepalived.service',
    'daemon-reload',
  ]);
  await systemd.stop(service);
  t.strictSame(calls(), [], 'what is not there needs no stop');
});

t.test('whether it runs is for systemd to say', async (t) => {
  const directory = t.testdir();
  const { systemd } = makeSystemd(directory);
  t.equal(await systemd.isRunning(service), false);
  writeFileSync(join(directory, 'active'), '');
  t.equal(await systemd.isRunning(service), true);
  t.equal(await systemd.adopt(service), true);
  writeFileSync(join(directory, 'refuse'), '');
  const failed = await systemd.start(service).catch((error: unknown) => error);
  t.match(failed, { output: 'no such unit\n' });
});
