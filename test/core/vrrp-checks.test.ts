// SPDX-License-Identifier: Apache-2.0
// Which checks keepalived runs for what is in force, and what their sum says.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { renderKeepalivedUnit } from '../../agent/core/units/keepalived-unit.js';
import { type Duty, checkScripts, renderCheckScript } from '../../agent/core/vrrp/check-scripts.js';

const commands = { haproxy: '/x/haproxy-vrrp-check', datapath: '/x/amphora-datapath-check' };
const HAPROXY = '/x/haproxy-vrrp-check';
const DATAPATH = '/x/amphora-datapath-check; exit $?\n';
const none: Duty = {
  haproxySockets: [],
  haproxyConfigs: 0,
  lvsListeners: 0,
  datapathListeners: 0,
};

const cases: readonly [string, Partial<Duty>, boolean, string | null, string | null][] = [
  ['no listener yet: fails on purpose', {}, false, 'exit 1\n', null],
  ['the last listener has gone: passes', {}, true, `${HAPROXY}; exit $?\n`, null],
  [
    'only LVS listeners: the datapath alone',
    { lvsListeners: 2, datapathListeners: 2 },
    false,
    null,
    DATAPATH,
  ],
  ['an LVS listener that nobody serves', { lvsListeners: 1 }, false, 'exit 0\n', null],
  [
    'HAProxy serves all',
    { haproxyConfigs: 1, haproxySockets: ['/var/lib/octavia/a b.sock'] },
    false,
    `${HAPROXY} '/var/lib/octavia/a b.sock'; exit $?\n`,
    null,
  ],
  [
    'the datapath serves all, and no HAProxy runs',
    { haproxyConfigs: 1, datapathListeners: 1 },
    false,
    `${HAPROXY}; exit $?\n`,
    DATAPATH,
  ],
  [
    'both serve',
    { haproxyConfigs: 1, haproxySockets: ['/s'], datapathListeners: 1, lvsListeners: 1 },
    false,
    `${HAPROXY} /s; exit $?\n`,
    DATAPATH,
  ],
];
for (const [name, duty, hadListeners, haproxy, datapath] of cases) {
  t.test(name, async (t) => {
    const scripts = checkScripts({ ...none, ...duty }, { commands, hadListeners });
    t.strictSame(scripts, { haproxy, datapath });
  });
}

t.test('the sum of the scripts', async (t) => {
  const directory = join(t.testdir(), "scripts of 'ours'");
  mkdirSync(directory);
  const check = join(directory, '../check_script.sh');
  writeFileSync(check, renderCheckScript(directory));
  chmodSync(check, 0o755);
  const passes = (scripts: Record<string, string>): boolean => {
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
    for (const [name, text] of Object.entries(scripts)) writeFileSync(join(directory, name), text);
    try {
      execFileSync(check);
      return true;
    } catch {
      return false;
    }
  };
  t.equal(passes({}), false, 'nothing to run');
  t.equal(passes({ a: 'exit 0\n', b: 'exit 0\n' }), true);
  t.equal(passes({ a: 'exit 0\n', b: 'exit 1\n' }), false);
  t.equal(passes({ a: 'exit 128\n', b: 'exit 128\n' }), false, 'statuses do not wrap to success');
});

t.test('the unit', async (t) => {
  const unit = renderKeepalivedUnit({
    program: '/usr/sbin/keepalived',
    args: ['--log-facility=1', '-f', '/b/vrrp/k.conf', '-p', '/b/vrrp/k.pid'],
    pidFile: '/b/vrrp/k.pid',
    namespace: 'amphora-haproxy',
  });
  for (const line of [
    'Type=forking',
    'KillMode=process',
    'PIDFile=/b/vrrp/k.pid',
    'ExecStart=/sbin/ip netns exec amphora-haproxy /usr/sbin/keepalived --log-facility=1 -f /b/vrrp/k.conf -p /b/vrrp/k.pid',
    'ExecReload=/bin/kill -HUP $MAINPID',
    'Requires=amphora-netns.service',
  ]) {
    t.ok(unit.split('\n').includes(line), line);
  }
});
