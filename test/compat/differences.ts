// SPDX-License-Identifier: Apache-2.0
// Where the stock agent of Debian's Octavia 11.0.0 answers otherwise, and why we do not. The rows' own words are
// ours; `rows` has the stock agent's. docs/contract.md shows this table.
import { PORTS, VIP } from '../support/topology.js';
import { NOT_FOUND, OK } from './row.js';
import { oldDetails } from './rows/details.js';
import { BAD_PAIR } from './rows/vrrp.js';
import { CONFIG, UNIT } from './rows/haproxy.js';
import { DETAILS, TCP_LB, UDP } from './rows/offload.js';
import { ruleRows } from './rows/rules.js';
import { BROKEN } from './rows/tls.js';
import type { Overrides } from './run-rows.js';

export interface Difference {
  readonly where: string;
  readonly stock: string;
  readonly here: string;
  readonly why: string;
  readonly rows: Overrides;
}

const CRASH = {
  status: 500,
  body: {
    error:
      '500 Internal Server Error: The server encountered an internal error and was unable to complete your ' +
      'request. Either the server is overloaded or there is an error in the application.',
    http_code: 500,
  },
};
const CRASHED = { ...CRASH, 'header etag': null };
/** The client's connection ends, or never begins. */
const NO_ANSWER = {
  status: null,
  type: null,
  body: null,
  'header connection': null,
  outcome: 'raises TimeOutException',
};
const STORED = { serial: String, answer: /^HTTP\/1\.1 200 OK\r\n/ };
const ACCEPTED = { status: 202, body: OK, outcome: 'an answer' };

const surface: readonly Difference[] = [
  {
    where: 'every answer',
    stock: '`Server: gunicorn`',
    here: 'no `Server`',
    why: 'the controller does not read it',
    rows: { 'discovery as the controller asks, with two slashes': { 'header server': 'gunicorn' } },
  },
  {
    where: '405',
    stock: 'no `Allow`',
    here: '`Allow`',
    why: 'RFC 9110 asks for it',
    rows: { 'no such method: POST /': { 'header allow': null } },
  },
  {
    where: '308 for doubled slashes',
    stock: '`Location` is a whole URL',
    here: '`Location` is a path',
    why: 'the agent does not trust a `Host` header; nobody sends such paths',
    rows: {
      'doubled slashes: /1.0//info': { 'header location': /^https:\/\/[\d.]+:9443\/1\.0\/info$/ },
    },
  },
  {
    where: '`GET details`',
    stock: 'no `cpu_count`, no `active_tuned_profiles`',
    here: 'both',
    why: 'newer controllers size HAProxy by them, and so does the newer stock agent',
    rows: {
      'details of an empty amphora': { body: oldDetails() },
      'details of plugged interfaces': { body: oldDetails({ interfaces: ['eth1', 'eth2'] }) },
      'details of a TCP and a UDP listener': { body: oldDetails(DETAILS) },
    },
  },
  {
    where: '`PUT interface/{ip}/rules`',
    stock: 'no such path',
    here: 'served',
    why: 'newer controllers send it for SR-IOV ports; this stock agent is older',
    rows: Object.fromEntries(ruleRows.map((row) => [row.name, overridden(row.status)])),
  },
  {
    where: '`GET interface/{ip}`',
    stock: 'an IPv6 address in another spelling is not found',
    here: 'found',
    why: 'it is the same address',
    rows: {
      'whose address is 2001:0db8:0000:0000:0000:0000:0000:0010': {
        status: 404,
        body: { message: 'Error interface not found for IP address' },
        outcome: 'raises NotFound',
      },
    },
  },
  {
    where: '`POST plug/network` of the VIP port',
    stock: 'the additional VIPs go',
    here: 'they stay',
    why: 'the controller always sends `additional_vips: []` here (P27)',
    rows: {
      'a member subnet on the VIP port': {
        'addresses eth1': `${VIP.v4}/32, ${PORTS.vip.v4}/24, 10.7.0.5/24`,
      },
    },
  },
  {
    where: 'an id that is `..`',
    stock: 'a file beside the directory is written',
    here: '400',
    why: 'nothing leaves its directory',
    rows: {
      'a certificate of a load balancer that leads elsewhere': {
        outcome: STORED,
        'mode /var/lib/octavia/escaped.pem': '0600',
      },
      'a UDP listener that leads elsewhere': {
        outcome: STORED,
        'mode /var/lib/octavia/lvs/octavia-keepalivedlvs-...conf': '0644',
      },
    },
  },
  {
    where: '`GET certificates/{file}`',
    stock: '500 for bytes that are not UTF-8',
    here: 'their MD5',
    why: 'a file is bytes',
    rows: { 'the MD5 of a certificate that is no text': CRASHED },
  },
];

const engines: readonly Difference[] = [
  {
    where: '`PUT .../haproxy`',
    stock: 'writes and enables `haproxy-<lb>.service`; `stop` leaves it',
    here: 'the unit comes with the first start and goes with the stop',
    why: 'an upload that was never started must not start at the next boot',
    rows: {
      'a config': { [UNIT]: 'enabled, inactive' },
      'a stop': { [UNIT]: 'enabled, inactive' },
    },
  },
  {
    where: 'start of a plain TCP listener',
    stock: 'runs HAProxy',
    here: 'no HAProxy: the datapath serves it',
    why: 'what this agent is for',
    rows: {
      'the first reload of a TCP listener': { [`unit haproxy-${TCP_LB}`]: 'enabled, active' },
    },
  },
  {
    where: '`PUT .../udp_listener`',
    stock: 'writes and enables `octavia-keepalivedlvs-<listener>.service`',
    here: 'no unit, no keepalived: the datapath serves it',
    why: 'what this agent is for',
    rows: {
      'a UDP listener': { [`unit octavia-keepalivedlvs-${UDP}`]: 'enabled, inactive' },
    },
  },
  {
    where: '`PUT .../udp_listener`',
    stock: 'takes any text',
    here: '400 with the line, and nothing is stored',
    why: 'the controller shall hear of it now, not the customer later',
    rows: {
      'a UDP listener that is none': {
        status: 200,
        body: OK,
        'mode /var/lib/octavia/lvs/octavia-keepalivedlvs-x.conf': '0644',
      },
    },
  },
  {
    where: '`PUT .../haproxy`',
    stock: 'takes whatever `haproxy -c` takes',
    here: '400 for Lua, programs, sockets and files elsewhere',
    why: "a user's string that breaks out of its line must not reach the amphora (P38)",
    rows: {
      'a config that runs Lua': ACCEPTED,
      'a config with its stats socket elsewhere': ACCEPTED,
    },
  },
  {
    where: '`PUT .../haproxy`',
    stock: '500 for Latin-1, and for a UTF-8 character on the border of two 100-byte pieces',
    here: 'both are read, and stored byte for byte',
    why: 'old HTTP libraries of controllers send Latin-1 (P6)',
    rows: {
      'a config whose 100th byte divides a character': {
        ...CRASHED,
        [`text ${CONFIG}`]: /^# Configuration for loadbalancer[^]*caf\u00e9/,
      },
      'a config with an accent, as the client encodes it': {
        ...CRASHED,
        outcome: 'raises InternalServerError',
      },
    },
  },
];

const itself: readonly Difference[] = [
  {
    where: '`PUT config`',
    stock: 'a value that is none ends the worker; the bad file stays',
    here: '500 with the reason; the old file stays',
    why: 'the next start reads that file',
    rows: {
      'a configuration with a value that is none': {
        ...NO_ANSWER,
        'text /etc/octavia/amphora-agent.conf': BAD_PAIR,
      },
    },
  },
  {
    where: '`PUT config`',
    stock: 'a text that is no configuration is refused, and stays',
    here: 'it is refused, and the old file stays',
    why: 'the next start reads that file',
    rows: {
      'a configuration that is none': {
        'text /etc/octavia/amphora-agent.conf': 'what is this\n',
      },
    },
  },
  {
    where: '`PUT certificate`',
    stock: 'takes any text, and a broken pair shuts every later client out',
    here: '400, and the last good pair stays',
    why: 'the API is the only way to the amphora (P17)',
    rows: {
      'a certificate without its key': {
        ...ACCEPTED,
        'text /etc/octavia/certs/server.pem': BROKEN,
      },
      'a discovery after a certificate without its key': NO_ANSWER,
      'a certificate after a broken one': {
        ...NO_ANSWER,
        'text /etc/octavia/certs/server.pem': BROKEN,
      },
      'a discovery after a good certificate': NO_ANSWER,
    },
  },
  {
    where: 'TLS 1.3',
    stock: 'refused, where gunicorn is older than 21',
    here: 'accepted, beside TLS 1.2',
    why: 'the newer stock agent accepts it too',
    rows: { 'the controller over TLS 1.3': { outcome: /^raises SSLError/ } },
  },
  {
    where: 'a client that is silent or slow',
    stock: 'everybody waits for it',
    here: 'nobody does',
    why: 'changes are serialised, connections are not',
    rows: Object.fromEntries(
      ['20 clients wait: silent', '1 clients wait: half a head', '1 clients wait: slow body'].map(
        (what) => [`a discovery while ${what}`, NO_ANSWER],
      ),
    ),
  },
];

/** An unknown path has the same status as some of our refusals. */
function overridden(status: number | undefined) {
  const { body } = NOT_FOUND;
  return status === 404 ? { body } : { status: 404, body };
}

export const DIFFERENCES: readonly Difference[] = [...surface, ...engines, ...itself];

/** All of them by row. Two differences may meet in one row. */
export const stockOverrides = (): Overrides => {
  const all: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const { rows } of DIFFERENCES) {
    for (const [name, fields] of Object.entries(rows)) all[name] = { ...all[name], ...fields };
  }
  return all;
};
