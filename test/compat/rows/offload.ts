// SPDX-License-Identifier: Apache-2.0
// Configs that the datapath serves whole: the API says of them what it says of HAProxy's.
import { haproxyFixture, lvsFixture } from '../../support/fixtures.js';
import { AMPHORA_ID } from '../../support/tls.js';
import { OK, type Row, call, etagOf, raw } from '../row.js';
import { details } from './details.js';
import { notFound, unknownAction } from './haproxy.js';

const TCP = haproxyFixture('a01-tcp').replaceAll('maxconn 50000', 'maxconn 5000');
export const TCP_LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const TCP_LISTENER = '5b5f836e-5c59-588b-b2bf-926403636453';
const BASE = '/var/lib/octavia';

const tcp: readonly Row[] = [
  {
    name: 'a config of a TCP listener',
    ask: call('upload_config', TCP_LB, TCP),
    status: 202,
    body: OK,
    headers: etagOf(TCP),
  },
  {
    name: 'the first reload of a TCP listener',
    ask: call('reload_listener', TCP_LB),
    status: 202,
    body: { ...OK, details: `Configuration file is valid\nhaproxy daemon for ${TCP_LB} started` },
    leaves: { [`unit haproxy-${TCP_LB}`]: null },
  },
  {
    name: 'a reload of a TCP listener',
    ask: call('reload_listener', TCP_LB),
    status: 202,
    body: { ...OK, details: `Listener ${TCP_LB} reloaded` },
  },
];

const LVS = lvsFixture('a36-udp');
export const UDP = '8d1eafa7-9d3f-5c31-9303-06f8c31b9d70';
const FILE = `${BASE}/lvs/octavia-keepalivedlvs-${UDP}`;
const UNIT = `unit octavia-keepalivedlvs-${UDP}`;
const listed = (status: string) => [
  { status: 'ACTIVE', uuid: TCP_LISTENER, type: 'TCP' },
  { status, uuid: UDP, type: 'UDP' },
];
/** None of the two needs a HAProxy here, and the stock agent looks for HAProxy by listeners' ids. */
export const DETAILS = {
  interfaces: ['eth1', 'eth2'],
  listeners: [TCP_LISTENER, UDP],
  haproxyCount: 0,
  lvsCount: 1,
};
const done = (word: string) => ({
  status: 202,
  body: { ...OK, details: `keepalivedlvs listener ${UDP} ${word}` },
});
const action = (word: string) => raw('PUT', `/1.0/loadbalancer/${UDP}/${word}`);
const lists = (name: string, status: string): Row => ({
  name,
  ask: call('get_all_listeners'),
  status: 200,
  body: listed(status),
});

const udp: readonly Row[] = [
  {
    name: 'the config of no UDP listener',
    ask: raw('GET', `/1.0/listeners/${UDP}/udp_listener`),
    status: 404,
    body: { message: 'UDP Listener Not Found', details: `No UDP listener with UUID: ${UDP}` },
  },
  {
    name: 'a UDP listener',
    ask: call('upload_udp_config', UDP, LVS),
    status: 200,
    body: OK,
    headers: etagOf(LVS),
    leaves: {
      [`mode ${FILE}.conf`]: '0644',
      [`text ${FILE}.conf`]: LVS,
      [`mode ${BASE}/lvs/check/udp_check.sh`]: '0100',
      [`mode ${BASE}/vrrp`]: null,
      [UNIT]: null,
    },
  },
  lists('the list while the UDP listener does not run', 'OFFLINE'),
  {
    name: 'an unknown action of a UDP listener',
    ask: action('bounce'),
    ...unknownAction('bounce'),
  },
  { name: 'the start of a UDP listener', ask: call('start_listener', UDP), ...done('started') },
  lists('the list while the UDP listener runs', 'ACTIVE'),
  { name: 'the reload of a UDP listener', ask: call('reload_listener', UDP), ...done('restarted') },
  {
    name: 'details of a TCP and a UDP listener',
    ask: call('get_details'),
    status: 200,
    body: details(DETAILS),
  },
  { name: 'the stop of a UDP listener', ask: action('Stop'), ...done('stoped') },
  lists('the list after the stop', 'OFFLINE'),
  { name: 'the reload of a UDP listener that stands', ask: action('RELOAD'), ...done('restarted') },
  {
    name: 'the same UDP listener again',
    ask: call('upload_udp_config', UDP, LVS),
    status: 200,
    body: OK,
    headers: etagOf(LVS),
  },
  {
    name: 'the config of a UDP listener',
    ask: raw('GET', `/1.0/listeners/${UDP}/udp_listener`),
    status: 200,
    type: 'text/plain; charset=UTF-8',
    body: LVS,
    headers: { etag: null },
  },
  {
    name: 'a UDP listener that is none',
    ask: raw('PUT', `/1.0/listeners/${AMPHORA_ID}/x/udp_listener`, { body: 'virtual_server {{{' }),
    status: 400,
    body: { message: 'Invalid request', details: /line 1/ },
    leaves: { [`mode ${BASE}/lvs/octavia-keepalivedlvs-x.conf`]: null },
  },
  {
    name: 'the removal of what was none',
    ask: call('delete_listener', 'x'),
    status: 200,
    body: OK,
  },
  {
    name: 'the removal of a UDP listener',
    ask: call('delete_listener', UDP),
    status: 200,
    body: OK,
    leaves: {
      [`mode ${FILE}.conf`]: null,
      [`mode ${FILE}.pid`]: null,
      [UNIT]: null,
      'processes keepalivedlvs': '0',
    },
  },
  {
    name: 'the removal of a UDP listener again',
    ask: call('delete_listener', UDP),
    status: 200,
    body: OK,
  },
  { name: 'a start after its removal', ask: call('start_listener', UDP), ...notFound(UDP) },
  {
    name: 'the removal of the TCP listener',
    ask: call('delete_listener', TCP_LB),
    status: 200,
    body: OK,
    leaves: { [`unit haproxy-${TCP_LB}`]: null, [`mode ${BASE}/${TCP_LB}`]: null },
  },
];

export const offloadRows: readonly Row[] = [...tcp, ...udp];
