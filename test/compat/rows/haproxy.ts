// SPDX-License-Identifier: Apache-2.0
// A load balancer's HAProxy config (operations 8 to 10, 13 and 14), with a listener that HAProxy must serve.
import { haproxyFixture } from '../../support/fixtures.js';
import { AMPHORA_ID } from '../../support/tls.js';
import { OK, type Row, bytes, call, etagOf, raw } from '../row.js';

export const LB = '3d296523-3e0d-5f53-8b34-1e56521169fa';
const LISTENER = 'ad55dd96-c8a8-56ab-991a-7b7359a8e22d';
/** HAProxy's limit follows the number of files that a test may open. */
export const HTTP = haproxyFixture('a16-http').replaceAll('maxconn 50000', 'maxconn 5000');
const BASE = '/var/lib/octavia';
export const CONFIG = `${BASE}/${LB}/haproxy.cfg`;
const UPLOAD = `/1.0/loadbalancer/${AMPHORA_ID}/${LB}/haproxy`;
const uploads = (text: string) => call('upload_config', LB, text);
export const UNIT = `unit haproxy-${LB}`;

export const notFound = (id: string) => ({
  status: 404,
  body: { message: 'Loadbalancer Not Found', details: `No loadbalancer with UUID: ${id}` },
});
export const unknownAction = (action: string) => ({
  status: 400,
  body: { message: 'Invalid Request', details: `Unknown action: ${action}` },
});
const done = (details: string) => ({ status: 202, body: { ...OK, details } });
const STARTED = done(`Configuration file is valid\nhaproxy daemon for ${LB} started`);
const accepted = (text: string | Uint8Array) => ({ status: 202, body: OK, headers: etagOf(text) });
const rejected = { status: 400, body: { message: 'Invalid request', details: String } };
const action = (word: string) => raw('PUT', `/1.0/loadbalancer/${LB}/${word}`);

const unknown: readonly Row[] = [
  { name: 'a start of nobody', ask: call('start_listener', LB), ...notFound(LB) },
  { name: 'a reload of nobody', ask: call('reload_listener', LB), ...notFound(LB) },
  { name: 'a stop of nobody', ask: action('stop'), ...notFound(LB) },
  {
    name: 'an unknown action of nobody',
    ask: action('Frobnicate'),
    ...unknownAction('frobnicate'),
  },
  { name: 'an upload without the amphora', ask: action('haproxy'), ...unknownAction('haproxy') },
  {
    name: 'the config of nobody',
    ask: raw('GET', `/1.0/loadbalancer/${LB}/haproxy`),
    ...notFound(LB),
  },
  { name: 'the removal of nobody', ask: call('delete_listener', LB), status: 200, body: OK },
];

const BROKEN = HTTP.replace('mode http', 'mode nonsense');
const MORE = HTTP.replaceAll('maxconn 5000', 'maxconn 4000');

const life: readonly Row[] = [
  {
    name: 'a config that HAProxy refuses',
    ask: uploads(BROKEN),
    ...rejected,
    leaves: {
      [`mode ${CONFIG}`]: null,
      [`mode ${CONFIG}.new`]: null,
      [`mode ${CONFIG}.new-failed`]: '0600',
      [`text ${CONFIG}.new-failed`]: BROKEN,
    },
  },
  { name: 'a reload of a refused config', ask: call('reload_listener', LB), ...notFound(LB) },
  {
    name: 'a config',
    ask: uploads(HTTP),
    ...accepted(HTTP),
    leaves: {
      [`mode ${CONFIG}`]: '0600',
      [`text ${CONFIG}`]: HTTP,
      [`mode ${CONFIG}.new`]: null,
      [UNIT]: null,
      'processes haproxy.*-Ws': '0',
    },
  },
  {
    name: 'the config read back',
    ask: raw('GET', `/1.0/loadbalancer/${LB}/haproxy`),
    status: 200,
    type: 'text/plain; charset=UTF-8',
    body: HTTP,
    headers: etagOf(HTTP),
  },
  {
    name: 'the list of listeners',
    ask: call('get_all_listeners'),
    status: 200,
    body: [{ status: 'ACTIVE', uuid: LISTENER, type: 'HTTP' }],
  },
  {
    name: 'the first reload',
    ask: call('reload_listener', LB),
    ...STARTED,
    leaves: {
      [UNIT]: 'enabled, active',
      'unit amphora-netns': 'disabled, active',
      [`mode /usr/lib/systemd/system/haproxy-${LB}.service`]: '0644',
      'mode /usr/lib/systemd/system/amphora-netns.service': '0644',
      [`mode ${BASE}/${LB}.sock`]: '0666',
      [`mode ${BASE}/${LB}/${LB}.pid`]: '0644',
      'processes haproxy.*-Ws': '2',
    },
  },
  {
    name: 'a reload of the same',
    ask: call('reload_listener', LB),
    ...done(`Listener ${LB} reloaded`),
  },
  {
    name: 'a changed config',
    ask: uploads(MORE),
    ...accepted(MORE),
    leaves: { [`text ${CONFIG}`]: MORE, [UNIT]: 'enabled, active' },
  },
  {
    name: 'a reload of the changed config',
    ask: action('ReLoAd'),
    ...done(`Listener ${LB} reloaded`),
    leaves: { [UNIT]: 'enabled, active', [`text ${BASE}/${LB}/servers-state`]: /^1\n# be_id/ },
  },
  { name: 'a start while it runs', ask: call('start_listener', LB), ...STARTED },
  {
    name: 'a refused config while it runs',
    ask: uploads(BROKEN),
    ...rejected,
    leaves: { [`text ${CONFIG}`]: MORE, [UNIT]: 'enabled, active' },
  },
  {
    name: 'a stop',
    ask: action('stop'),
    ...done(`Listener ${LB} stoped`),
    leaves: { [`text ${CONFIG}`]: MORE, [UNIT]: null, 'processes haproxy.*-Ws': '0' },
  },
  { name: 'a stop of what stands', ask: action('STOP'), ...done(`Listener ${LB} stoped`) },
  {
    name: 'a reload of what stands',
    ask: call('reload_listener', LB),
    ...STARTED,
    leaves: { [UNIT]: 'enabled, active' },
  },
];

/** A character of two bytes that the 100th byte divides. */
const straddling = (text: string) => {
  const head = '# ';
  return `${head}${'x'.repeat(99 - head.length)}\u00e9\n${text}`;
};
const UTF8 = Buffer.from(straddling(HTTP));
export const LATIN = `${HTTP}# caf\u00e9\n`;
const LONG = `${HTTP}${'# filler of a large load balancer\n'.repeat(100_000)}`;

const bodies: readonly Row[] = [
  {
    name: 'a config in UTF-8',
    ask: raw('PUT', UPLOAD, { body: bytes(Buffer.from(LATIN)) }),
    ...accepted(Buffer.from(LATIN)),
    leaves: { [`text ${CONFIG}`]: LATIN },
  },
  {
    name: 'a config whose 100th byte divides a character',
    ask: raw('PUT', UPLOAD, { body: bytes(UTF8) }),
    ...accepted(UTF8),
    leaves: { [`text ${CONFIG}`]: straddling(HTTP) },
  },
  {
    // Octavia hands text to its HTTP library, and this one's sends Latin-1 (P6).
    name: 'a config with an accent, as the client encodes it',
    ask: uploads(LATIN),
    ...accepted(Buffer.from(LATIN, 'latin1')),
  },
  {
    name: 'the config with an accent read back',
    ask: raw('GET', `/1.0/loadbalancer/${LB}/haproxy`),
    status: 200,
    type: 'text/plain; charset=UTF-8',
    body: LATIN,
  },
  {
    name: 'a config of 3.4 MB',
    ask: uploads(LONG),
    ...accepted(LONG),
    leaves: { [`text ${CONFIG}`]: LONG },
  },
  {
    name: 'a config with the group of an older controller',
    ask: uploads(HTTP.replace('    user nobody\n', '    user nobody\n    group nogroup\n')),
    ...accepted(HTTP.replace('    user nobody\n', '    user nobody\n    group nogroup\n')),
    leaves: { [`text ${CONFIG}`]: HTTP },
  },
  {
    name: 'a config said to be JSON',
    ask: raw('PUT', UPLOAD, { headers: { 'Content-Type': 'application/json' }, body: HTTP }),
    ...accepted(HTTP),
  },
  {
    name: 'a config said to be a form',
    ask: raw('PUT', UPLOAD, {
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: HTTP,
    }),
    ...accepted(HTTP),
  },
  { name: 'an empty config', ask: raw('PUT', UPLOAD, { body: '' }), ...rejected },
  {
    name: 'a config that runs Lua',
    ask: uploads(HTTP.replace('    daemon\n', '    daemon\n    lua-load /dev/null\n')),
    ...rejected,
  },
  {
    name: 'a config with its stats socket elsewhere',
    ask: uploads(HTTP.replace(/stats socket \S+/, 'stats socket /run/elsewhere.sock')),
    ...rejected,
  },
];

const end: readonly Row[] = [
  { name: 'the first config once more', ask: uploads(HTTP), ...accepted(HTTP) },
  {
    name: 'the removal of a load balancer',
    ask: call('delete_listener', LB),
    status: 200,
    body: OK,
    leaves: {
      [`mode ${BASE}/${LB}`]: null,
      [`mode ${BASE}/${LB}.sock`]: null,
      [`mode ${BASE}/certs/${LB}`]: null,
      [UNIT]: null,
      'processes haproxy.*-Ws': '0',
    },
  },
  { name: 'the removal again', ask: call('delete_listener', LB), status: 200, body: OK },
  { name: 'a reload after the removal', ask: call('reload_listener', LB), ...notFound(LB) },
];

export const haproxyRows: readonly Row[] = [...unknown, ...life, ...bodies, ...end];
