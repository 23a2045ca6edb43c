// SPDX-License-Identifier: Apache-2.0
// VRRP configs: every one that a controller rendered passes, and nothing beside what they hold.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigRejected } from '../../agent/core/parse/config-rejected.js';
import { checkVrrpConfig } from '../../agent/core/parse/vrrp-config.js';

const BASE = '/var/lib/octavia';
const directory = join(import.meta.dirname, '../fixtures/controller-configs');
const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /vrrp-.*\.conf$/.test(file),
);
const texts = files.map((file) => readFileSync(join(directory, file), 'utf8'));
const good = texts[0] ?? '';

t.test('every file that a controller rendered', (t) => {
  t.ok(texts.length >= 4);
  for (const text of texts) {
    checkVrrpConfig(text, BASE);
    checkVrrpConfig(text.replaceAll(BASE, '/srv/octavia'), '/srv/octavia');
    checkVrrpConfig(text.replaceAll('interface eth1', 'interface None'), BASE);
    checkVrrpConfig(text.replaceAll('10.0.0.10/32', '2001:db8::1/128'), BASE);
  }
  t.end();
});

/** Put behind the first line of the instance. */
const inInstance = [
  ...['notify /bin/sh', 'notify_master "/bin/sh x"', 'notify_stop /x', 'smtp_alert', 'use_vmac'],
  ...['script /bin/sh', 'include /etc/x', '"notify" /x', 'notif\\y /x', '$X', '@x notify /x'],
  ...[
    'track_file {\n x\n }',
    'track_process {\n x\n }',
    'interface a/b',
    'priority x',
    'accept now',
  ],
  ...[
    'virtual_routes {\n include /x\n }',
    'track_script {\n notify /x\n }',
    'unicast_peer {\n x\n }',
  ],
  ...[
    'virtual_routes {\n default via 10.0.0.1 dev /etc\n }',
    'virtual_ipaddress',
    'x {\n }',
    '}',
    '{',
  ],
  ...[
    'virtual_rules {\n notify /x\n }',
    'authentication {\n auth_pass `x`\n }',
    'state\tMASTER\rx',
  ],
  ...[
    '# comment \\',
    '# ~SEQ(i,1,9)',
    'unicast_src_ip 10.0.0.300',
    'virtual_ipaddress {\n 1.2.3\n }',
  ],
];
const atTop = [
  ...['include /x', 'global_defs {\n script_user root\n}', 'vrrp_sync_group x {\n notify /x\n}'],
  ...['vrrp_script x {\n script /bin/sh\n}', 'vrrp_script x {\n user root\n}', 'net_namespace x'],
  ...[
    'vrrp_script x {\n script /var/lib/octavia/vrrp/../../sh\n}',
    'vrrp_script x{\n script /x\n}',
  ],
  ...['vrrp_script x\n{\n script /x\n}', 'vrrp_script x { script /x }', '$X=1', '~SEQ(i,1,9) x'],
  ...[
    'track_file x {\n file /etc/shadow\n}',
    'virtual_server 10.0.0.1 80 {\n}',
    'bfd_instance x {\n}',
  ],
  ...['static_routes {\n default via 10.0.0.1\n}', 'vrrp_instance {\n}', 'vrrp_instance a b {\n}'],
  ...['vrrp_script x {\n script "/var/lib/octavia/vrrp/check_script.sh; reboot"\n}'],
];

t.test('nothing else', (t) => {
  const cases = [
    ...inInstance.map((line) => good.replace(/(vrrp_instance .*\n)/, (head) => `${head}${line}\n`)),
    ...atTop.map((line) => `${line}\n${good}`),
    good.slice(0, -20),
    good.replace('check_script.sh', 'check_script.sh x'),
  ];
  for (const text of cases) {
    t.throws(
      () => {
        checkVrrpConfig(text, BASE);
      },
      ConfigRejected,
      text.slice(0, 400),
    );
  }
  t.end();
});
