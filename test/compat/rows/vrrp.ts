// SPDX-License-Identifier: Apache-2.0
// The agent's own configuration (operation 19), which makes it one of a pair, and keepalived (20 and 21).
import { amphoraFixture } from '../../support/fixtures.js';
import { inCheckout } from '../../support/paths.js';
import { readFileSync } from 'node:fs';
import { OK, type Row, call, etagOf, raw } from '../row.js';
import { HTTP, LB, unknownAction } from './haproxy.js';

const FILE = '/etc/octavia/amphora-agent.conf';
const PAIR = `${amphoraFixture('amphora-agent.conf/16.0.0-ACTIVE_STANDBY.conf')}\n\n[amphora_xdp]\nservices = systemd\n`;
export const BAD_PAIR = PAIR.replace('debug = False', 'debug = maybe');
const FAILED = {
  status: 500,
  body: { message: 'Unable to update amphora-agent configuration.', details: /debug|maybe|parse/i },
};

const config: readonly Row[] = [
  {
    name: 'a configuration of the agent',
    ask: call('update_agent_config', PAIR),
    status: 202,
    body: OK,
    leaves: { [`text ${FILE}`]: PAIR },
  },
  {
    name: 'a configuration with a value that is none',
    ask: call('update_agent_config', BAD_PAIR),
    ...FAILED,
    leaves: { [`text ${FILE}`]: PAIR },
  },
  {
    name: 'the agent is there after a refused configuration',
    ask: { wait: 60 },
    outcome: { api_version: '1.0' },
  },
  {
    name: 'a configuration that is none',
    ask: call('update_agent_config', 'what is this\n'),
    status: 500,
    body: { message: 'Unable to update amphora-agent configuration.', details: String },
    leaves: { [`text ${FILE}`]: PAIR },
  },
  {
    name: 'the configuration again',
    ask: call('update_agent_config', PAIR),
    status: 202,
    body: OK,
    leaves: { [`text ${FILE}`]: PAIR },
  },
];

const VRRP = readFileSync(
  inCheckout('test/fixtures/controller-configs/a35-active-standby/vrrp-3807b70b-16.0.0.conf'),
  'utf8',
);
const DIRECTORY = '/var/lib/octavia/vrrp';
const CHECK = `${DIRECTORY}/check_scripts/haproxy_check_script.sh`;
const UNIT = 'unit octavia-keepalived';
const action = (word: string) => raw('PUT', `/1.0/vrrp/${word}`);
const done = (word: string) => ({ status: 202, body: { ...OK, details: `keepalived ${word}` } });

const keepalived: readonly Row[] = [
  {
    name: 'a start of a keepalived without a config',
    ask: call('start_vrrp'),
    status: 500,
    body: { message: 'Failed to start octavia-keepalived service', details: String },
  },
  { name: 'an unknown action of keepalived', ask: action('Bounce'), ...unknownAction('bounce') },
  {
    name: 'a config of keepalived',
    ask: call('upload_vrrp_config', VRRP),
    status: 200,
    body: OK,
    headers: etagOf(VRRP),
    leaves: {
      [`mode ${DIRECTORY}/octavia-keepalived.conf`]: '0644',
      [`text ${DIRECTORY}/octavia-keepalived.conf`]: VRRP,
      [`mode ${DIRECTORY}/check_script.sh`]: '0755',
      [`mode ${CHECK}`]: '0644',
      [`text ${CHECK}`]: /^exit 1\n?$/,
      'mode /usr/lib/systemd/system/octavia-keepalived.service': '0644',
      [UNIT]: 'enabled, inactive',
    },
  },
  {
    name: 'a stop of a keepalived that stands',
    ask: call('stop_vrrp'),
    ...done('stoped'),
    leaves: { [UNIT]: 'enabled, inactive' },
  },
  {
    name: 'the start of keepalived',
    ask: call('start_vrrp'),
    ...done('started'),
    leaves: { [UNIT]: 'enabled, active', [`mode ${DIRECTORY}/octavia-keepalived.pid`]: '0644' },
  },
  { name: 'the start of a keepalived that runs', ask: call('start_vrrp'), ...done('reloaded') },
  { name: 'a reload of keepalived', ask: call('reload_vrrp'), ...done('reloaded') },
  { name: 'a start in capitals', ask: action('START'), ...done('reloaded') },
  {
    name: 'another config of keepalived',
    ask: call('upload_vrrp_config', `${VRRP}\n`),
    status: 200,
    body: OK,
    headers: etagOf(`${VRRP}\n`),
    leaves: { [UNIT]: 'enabled, active' },
  },
  {
    name: 'a config of HAProxy beside keepalived',
    ask: call('upload_config', LB, HTTP),
    status: 202,
    body: OK,
  },
  {
    name: 'a load balancer beside keepalived',
    ask: call('reload_listener', LB),
    status: 202,
    body: { ...OK, details: `Configuration file is valid\nhaproxy daemon for ${LB} started` },
    leaves: {
      [`text ${CHECK}`]: new RegExp(
        `haproxy-vrrp-check'? '?/var/lib/octavia/${LB}\\.sock'?; exit \\$\\?\\n?$`,
      ),
    },
  },
  {
    name: 'the removal of the load balancer beside keepalived',
    ask: call('delete_listener', LB),
    status: 200,
    body: OK,
    leaves: { [`text ${CHECK}`]: /haproxy-vrrp-check'? ?; exit \$\?\n?$/ },
  },
  {
    name: 'the stop of keepalived',
    ask: call('stop_vrrp'),
    ...done('stoped'),
    leaves: {
      [UNIT]: 'enabled, inactive',
      [`text ${DIRECTORY}/octavia-keepalived.conf`]: `${VRRP}\n`,
    },
  },
];
export const vrrpRows: readonly Row[] = [...config, ...keepalived];
