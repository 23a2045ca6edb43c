// SPDX-License-Identifier: Apache-2.0
// The agent's configuration, as controllers render it and as operators write it.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseAgentConfig, withMutable } from '../../agent/config.js';
import { fixture } from './recorders.js';

const ID = '6f4ad1f4-3c5b-4d4e-9d0b-2f4b3a6a7c11';

t.test('every file that a controller rendered', (t) => {
  const directory = fixture('amphora-agent.conf');
  const files = readdirSync(directory).filter((name) => name.endsWith('.conf'));
  t.ok(files.length > 10);
  for (const file of files) {
    const config = parseAgentConfig(file, readFileSync(join(directory, file), 'utf8'));
    t.match(config, { amphoraId: ID, heartbeatKey: 'insecure-test-key', bindPort: 9443 }, file);
    t.strictSame(config.controllers, ['192.0.2.10:5555', '2001:db8::10:5555']);
    t.equal(config.topology, file.includes('ACTIVE_STANDBY') ? 'ACTIVE_STANDBY' : 'SINGLE', file);
    t.equal(config.debug, file.includes('debug'), file);
    t.ok(Object.isFrozen(config));
  }
  t.end();
});

t.test("an empty file is Octavia's defaults and ours", (t) => {
  const config = parseAgentConfig('x', '');
  t.match(config, {
    basePath: '/var/lib/octavia',
    baseCertDir: '/var/lib/octavia/certs',
    bindHost: '::',
    networkDirectory: '/etc/octavia/interfaces',
    heartbeatIntervalSeconds: 10,
    xdp: {
      stateDirectory: '/var/lib/octavia/amphora-xdp',
      networkNamespace: 'amphora-haproxy',
      hook: 'auto',
      services: 'auto',
      tableFlows: null,
      controlSocket: '/run/amphora-xdp/control.sock',
    },
  });
  t.end();
});

t.test('the dialect', (t) => {
  const text = [
    '# a comment',
    '[health_manager]',
    'heartbeat_key = a#b;c &#34;d&#34; = e',
    'controller_ip_port_list = 192.0.2.1:1 ,',
    '    192.0.2.2:2',
    'no_such_option = 1',
    '[haproxy_amphora]',
    'base_path: "/srv/octavia"',
    'base_cert_dir = $base_path/pem',
    'bind_port = ',
    '[amphora_xdp]',
    'hook_eth2 = tc',
    'hook = xdp',
    'table_flows = 5000',
    'pin_directory = ${haproxy_amphora.base_path}/pins$$',
  ].join('\r\n');
  const config = parseAgentConfig('x', text);
  t.equal(config.heartbeatKey, 'a#b;c &#34;d&#34; = e', 'no comments inside values');
  t.strictSame(config.controllers, ['192.0.2.1:1', '192.0.2.2:2']);
  t.equal(config.basePath, '/srv/octavia');
  t.equal(config.baseCertDir, '/srv/octavia/pem');
  t.equal(config.bindPort, 9443);
  t.strictSame([...config.xdp.hooks], [['eth2', 'tc']]);
  t.equal(config.xdp.pinDirectory, '/srv/octavia/pins$');
  t.equal(config.xdp.tableFlows, 5000);
  t.end();
});

const wrong = [
  ['[DEFAULT]\ndebug = maybe', /\[DEFAULT\] debug: a boolean expected/],
  ['[haproxy_amphora]\nbind_port = 70000', /bind_port: a number from 0 to 65535/],
  ['[health_manager]\nheartbeat_interval = 0', /heartbeat_interval/],
  ['[controller_worker]\nloadbalancer_topology = BOTH', /one of SINGLE, ACTIVE_STANDBY/],
  ['[amphora_xdp]\nhook_eth1 = generic', /hook_eth1: one of auto, xdp, tc/],
  ['[amphora_xdp]\ntable_flows = many', /table_flows/],
] as const;

t.test('what makes no sense names itself', (t) => {
  for (const [text, words] of wrong)
    t.throws(() => parseAgentConfig('x', text), { message: words });
  t.end();
});

t.test('no value is told: a key may have been drawn into it', (t) => {
  const text = '[health_manager]\nheartbeat_interval = 10\n  heartbeat_key = secret\n';
  t.throws(() => parseAgentConfig('x', text), { message: /^((?!secret).)*$/s });
  t.end();
});

t.test(
  'an update changes what the contract calls mutable, and nothing else before a restart',
  (t) => {
    const current = parseAgentConfig('x', '[haproxy_amphora]\nbase_path = /srv\n');
    const next = parseAgentConfig(
      'x',
      [
        '[DEFAULT]\ndebug = true\n[health_manager]\nheartbeat_key = k\nheartbeat_interval = 3',
        'controller_ip_port_list = 192.0.2.1:1\n[controller_worker]',
        'loadbalancer_topology = ACTIVE_STANDBY\n[haproxy_amphora]\nbase_path = /\nbase_cert_dir = /etc',
        'haproxy_cmd = /bin/sh\n[amphora_xdp]\nnetwork_namespace = other\n',
      ].join('\n'),
    );
    t.strictSame(withMutable(current, next), {
      ...current,
      debug: true,
      heartbeatKey: 'k',
      heartbeatIntervalSeconds: 3,
      controllers: ['192.0.2.1:1'],
      topology: 'ACTIVE_STANDBY',
    });
    t.end();
  },
);
