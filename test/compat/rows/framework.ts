// SPDX-License-Identifier: Apache-2.0
// Who is there (operations 1 to 3), and what no operation answers.
import { NOT_ALLOWED, NOT_FOUND, type Row, call, raw } from '../row.js';
import { VERSIONS, details } from './details.js';

const LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const DISCOVERY = { api_version: '1.0' } as const;

const discovery: readonly Row[] = [
  {
    name: 'discovery as the controller asks, with two slashes',
    ask: call('get_api_version'),
    status: 200,
    body: DISCOVERY,
    outcome: DISCOVERY,
    headers: { etag: null, server: null },
  },
  { name: 'discovery with one slash', ask: raw('GET', '/'), status: 200, body: DISCOVERY },
  { name: 'discovery with a query', ask: raw('GET', '/?x=1'), status: 200, body: DISCOVERY },
  {
    name: 'a head of discovery',
    ask: raw('HEAD', '/'),
    status: 200,
    body: '',
    headers: { 'content-length': /^\d+$/ },
  },
];

const identity: readonly Row[] = [
  { name: 'info', ask: call('get_info'), status: 200, body: VERSIONS, outcome: VERSIONS },
  { name: 'details of an empty amphora', ask: call('get_details'), status: 200, body: details() },
  { name: 'a head of info', ask: raw('HEAD', '/1.0/info'), status: 200, body: '' },
  { name: 'no listeners', ask: call('get_all_listeners'), status: 200, body: [], outcome: [] },
];

const none = (method: string, path: string): Row => ({
  name: `no path: ${method} ${path}`,
  ask: raw(method, path),
  ...NOT_FOUND,
});

const unrouted: readonly Row[] = [
  none('GET', '/1.0'),
  none('GET', '/1.0/'),
  none('GET', '/1.0/info/'),
  none('GET', '/1.0/details/'),
  none('GET', '/1.0/listeners/'),
  none('GET', '/info'),
  none('GET', '/0.5/info'),
  none('PUT', `/0.5/listeners/${LB}/start`),
  none('GET', '/2.0/info'),
  none('GET', '/1.0/INFO'),
  none('GET', '/1.0/interface/'),
  none('POST', '/1.0/plug/vip'),
  none('POST', '/1.0/plug/vip/'),
  none('POST', '/1.0/plug/network/'),
  none('POST', '/1.0/plug/vip/10.0.0.10/'),
  none('PUT', `/1.0/loadbalancer/a/${LB}/haproxy/`),
  none('GET', `/1.0/loadbalancer/${LB}/certificates/`),
  none('GET', `/1.0/loadbalancer/${LB}`),
  none('PUT', '/1.0/certificate/'),
  none('PUT', '/1.0/vrrp/upload/'),
];

const refused = (method: string, path: string): Row => ({
  name: `no such method: ${method} ${path}`,
  ask: raw(method, path),
  ...NOT_ALLOWED,
});

/** The value of Allow stands sorted: its order means nothing. */
const methods: readonly Row[] = [
  { ...refused('POST', '/'), headers: { allow: 'GET, HEAD, OPTIONS' } },
  refused('POST', '/1.0/info'),
  refused('PATCH', '/1.0/details'),
  refused('DELETE', '/1.0/listeners'),
  refused('GET', `/1.0/listeners/${LB}`),
  refused('GET', '/1.0/plug/network'),
  refused('PUT', '/1.0/plug/vip/10.0.0.10'),
  refused('GET', '/1.0/certificate'),
  refused('GET', '/1.0/config'),
  refused('GET', '/1.0/vrrp/upload'),
  refused('POST', '/1.0/vrrp/start'),
  refused('GET', `/1.0/loadbalancer/${LB}/start`),
  refused('POST', `/1.0/loadbalancer/${LB}/haproxy`),
  refused('POST', `/1.0/loadbalancer/a/${LB}/haproxy`),
  refused('PUT', `/1.0/listeners/${LB}/udp_listener`),
  refused('GET', `/1.0/listeners/a/${LB}/udp_listener`),
  refused('POST', `/1.0/loadbalancer/${LB}/certificates/a.pem`),
  refused('POST', '/1.0/interface/10.0.0.10'),
  ...[
    ['/1.0/info', 'GET, HEAD, OPTIONS'],
    ['/1.0/plug/network', 'OPTIONS, POST'],
    [`/1.0/listeners/${LB}`, 'DELETE, OPTIONS'],
  ].map(([path = '', allow]): Row => ({
    name: `the options of ${path}`,
    ask: raw('OPTIONS', path),
    status: 200,
    type: 'text/html; charset=utf-8',
    body: '',
    headers: { allow },
  })),
];

const collapsed = (path: string, target: string): Row => ({
  name: `doubled slashes: ${path}`,
  ask: raw('GET', path),
  status: 308,
  type: /^text\//,
  headers: { location: target },
});

const slashes: readonly Row[] = [
  collapsed('/1.0//info', '/1.0/info'),
  { name: 'slashes at the beginning', ask: raw('GET', '///1.0/listeners'), status: 200, body: [] },
  none('GET', '/1.0/listeners//'),
  none('GET', '/1.0//nothing'),
];

export const frameworkRows: readonly Row[] = [
  ...discovery,
  ...identity,
  ...unrouted,
  ...methods,
  ...slashes,
];
