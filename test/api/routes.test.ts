// SPDX-License-Identifier: Apache-2.0
// Every operation's answers, as contract 1.5 has them, through inject.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AgentError } from '../../agent/errors.js';
import { md5 } from '../../agent/shell/store.js';
import { type Bed, fixture, startBed, upload } from './recorders.js';

const LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const LISTENER = '5b5f836e-5c59-588b-b2bf-926403636453';
const A01 = 'a01-tcp/haproxy-08d76b82-11.0.0.cfg';
const A36 = 'a36-udp/lvs-8d1eafa7-11.0.0.conf';
const NOT_FOUND = {
  error:
    '404 Not Found: The requested URL was not found on the server. If you entered the URL manually ' +
    'please check your spelling and try again.',
  http_code: 404,
};
const NOT_ALLOWED = {
  error: '405 Method Not Allowed: The method is not allowed for the requested URL.',
  http_code: 405,
};
const JSON_HEADERS = { 'content-type': 'application/json' };
const VIP_BODY = {
  subnet_cidr: '10.0.0.0/24',
  gateway: '10.0.0.1',
  mac_address: 'FA:16:3e:00:00:01',
  vrrp_ip: '10.0.0.20',
  mtu: 1450,
  host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.9' }],
  additional_vips: [],
};

const inject = async (
  { app }: Bed,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'HEAD' | 'OPTIONS' | 'PATCH',
  url: string,
  more: { payload?: string | Buffer | object; headers?: Record<string, string> } = {},
) => {
  const answer = await app.inject({ method, url, ...more });
  const isJson = answer.headers['content-type'] === 'application/json';
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: answer.body,
    body: isJson && answer.body !== '' ? (JSON.parse(answer.body) as unknown) : null,
  };
};

t.test('discovery, info and details', async (t) => {
  const bed = await startBed(t.testdir());
  for (const url of ['/', '//']) {
    const answer = await inject(bed, 'GET', url);
    t.equal(answer.status, 200);
    t.strictSame(answer.body, { api_version: '1.0' });
    t.equal(answer.headers['content-type'], 'application/json', 'no charset');
    t.equal(answer.headers.connection, 'close');
  }
  const info = await inject(bed, 'GET', '/1.0/info');
  t.equal(info.status, 200);
  t.match(info.body, { haproxy_version: /^\d+\.\d+/, api_version: '1.0', hostname: String });
  const details = await inject(bed, 'GET', '/1.0/details');
  t.match(details.body, {
    active: true,
    cpu_count: Number,
    cpu: { user: /^\d+$/, system: /^\d+$/, soft_irq: /^\d+$/, total: Number },
    memory: { free: Number, buffers: Number, cached: Number, total: Number },
    disk: { used: Number, available: Number },
    load: [String, String, String],
    networks: { eth1: { network_tx: 1, network_rx: 2 } },
    topology: 'SINGLE',
    topology_status: 'OK',
    active_tuned_profiles: '',
    listeners: [],
    packages: {},
    haproxy_count: 0,
    lvs_listener_process_count: 0,
  });
});

t.test('paths and methods that no operation has', async (t) => {
  const bed = await startBed(t.testdir());
  const cases = [
    ['GET', '/1.0/info/', 404],
    ['GET', '/0.5/info', 404],
    ['GET', '/1.0/interface/', 404],
    ['PUT', '/1.0/loadbalancer/a%2f..%2fb/haproxy/x', 404],
    ['GET', `/1.0/listeners/${LB}`, 405],
    ['POST', '/1.0/info', 405],
    ['PATCH', '/1.0/info', 405],
    ['GET', '/1.0/plug/network', 405],
    ['GET', `/1.0/loadbalancer/${LB}/start`, 405],
  ] as const;
  for (const [method, url, status] of cases) {
    const answer = await inject(bed, method, url);
    t.equal(answer.status, status, `${method} ${url}`);
    t.strictSame(answer.body, status === 404 ? NOT_FOUND : NOT_ALLOWED);
  }
  const collapsed = await inject(bed, 'GET', '/1.0//info');
  t.equal(collapsed.status, 308);
  t.equal(collapsed.headers.location, '/1.0/info');
  const options = await inject(bed, 'OPTIONS', '/1.0/info');
  t.strictSame([options.status, options.text], [200, '']);
  t.equal(options.headers.allow, 'GET, HEAD, OPTIONS');
  t.equal((await inject(bed, 'HEAD', '/1.0/info')).status, 200);
});

t.test('a HAProxy config: upload, read back, reload, list, stop, delete', async (t) => {
  const bed = await startBed(t.testdir());
  const text = upload(bed.directory, A01);
  const path = `/1.0/loadbalancer/amphora/${LB}/haproxy`;
  const put = await inject(bed, 'PUT', path, { payload: Buffer.from(text) });
  t.strictSame([put.status, put.body], [202, { message: 'OK' }]);
  t.equal(put.headers.etag, md5(text), 'bare MD5');
  t.equal(statSync(join(bed.directory, 'lib', LB, 'haproxy.cfg')).mode & 0o777, 0o600);

  const got = await inject(bed, 'GET', `/1.0/loadbalancer/${LB}/haproxy`);
  t.equal(got.text, text);
  t.equal(got.headers['content-type'], 'text/plain; charset=UTF-8');
  t.equal(got.headers.etag, md5(text));

  const listed = await inject(bed, 'GET', '/1.0/listeners');
  t.strictSame(listed.body, [{ status: 'ACTIVE', uuid: LISTENER, type: 'TCP' }]);

  const details = `Configuration file is valid\nhaproxy daemon for ${LB} started`;
  const steps = [
    ['reload', details],
    ['RELOAD', `Listener ${LB} reloaded`],
    ['start', details],
    ['stop', `Listener ${LB} stoped`],
  ] as const;
  for (const [action, words] of steps) {
    const answer = await inject(bed, 'PUT', `/1.0/loadbalancer/${LB}/${action}`);
    t.strictSame([answer.status, answer.body], [202, { message: 'OK', details: words }], action);
  }
  const removed = await inject(bed, 'DELETE', `/1.0/listeners/${LB}`);
  t.strictSame([removed.status, removed.body], [200, { message: 'OK' }]);
  t.notOk(existsSync(join(bed.directory, 'lib', LB)));
  const gone = await inject(bed, 'GET', `/1.0/loadbalancer/${LB}/haproxy`);
  t.strictSame(
    [gone.status, gone.body],
    [404, { message: 'Loadbalancer Not Found', details: `No loadbalancer with UUID: ${LB}` }],
  );
});

t.test('an LVS config: 200 instead of 202, and a reload is a restart', async (t) => {
  const bed = await startBed(t.testdir());
  const text = upload(bed.directory, A36);
  const id = /Configuration for Listener (\S+)/.exec(text)?.[1] ?? '';
  const put = await inject(bed, 'PUT', `/1.0/listeners/amphora/${id}/udp_listener`, {
    payload: text,
    headers: { 'content-type': 'text/whatever; x' },
  });
  t.strictSame([put.status, put.body], [200, { message: 'OK' }]);
  t.equal(put.headers.etag, md5(text));
  const check = join(bed.directory, 'lib/lvs/check/udp_check.sh');
  t.equal(statSync(check).mode & 0o777, 0o100);
  t.match(readFileSync(check, 'utf8'), /nc -uzv -w1 -- "\$1" "\$2"/);
  const before = await inject(bed, 'GET', '/1.0/listeners');
  t.strictSame(before.body, [{ status: 'OFFLINE', uuid: id, type: 'UDP' }]);
  const steps = [
    ['start', 'started'],
    ['reload', 'restarted'],
    ['stop', 'stoped'],
    ['reload', 'restarted'],
  ] as const;
  for (const [action, word] of steps) {
    const answer = await inject(bed, 'PUT', `/1.0/loadbalancer/${id}/${action}`);
    const details = `keepalivedlvs listener ${id} ${word}`;
    t.strictSame([answer.status, answer.body], [202, { message: 'OK', details }], action);
  }
  const after = await inject(bed, 'GET', '/1.0/listeners');
  t.strictSame(after.body, [{ status: 'ACTIVE', uuid: id, type: 'UDP' }]);
  const got = await inject(bed, 'GET', `/1.0/listeners/${id}/udp_listener`);
  t.strictSame([got.status, got.text], [200, text]);
  t.equal((await inject(bed, 'DELETE', `/1.0/listeners/${id}`)).status, 200);
  const gone = await inject(bed, 'GET', `/1.0/listeners/${id}/udp_listener`);
  t.strictSame(
    [gone.status, gone.body],
    [404, { message: 'UDP Listener Not Found', details: `No UDP listener with UUID: ${id}` }],
  );
});

t.test('unknown objects and actions', async (t) => {
  const bed = await startBed(t.testdir());
  const unknown = await inject(bed, 'PUT', '/1.0/loadbalancer/nobody/reload');
  t.strictSame(
    [unknown.status, unknown.body],
    [404, { message: 'Loadbalancer Not Found', details: 'No loadbalancer with UUID: nobody' }],
  );
  for (const [action, word] of [
    ['frobnicate', 'frobnicate'],
    ['haproxy', 'haproxy'],
  ] as const) {
    const answer = await inject(bed, 'PUT', `/1.0/loadbalancer/nobody/${action}`);
    t.strictSame(
      [answer.status, answer.body],
      [400, { message: 'Invalid Request', details: `Unknown action: ${word}` }],
    );
  }
  const removed = await inject(bed, 'DELETE', '/1.0/listeners/nobody');
  t.strictSame([removed.status, removed.body], [200, { message: 'OK' }]);
});

t.test('certificates of listeners', async (t) => {
  const bed = await startBed(t.testdir());
  const path = `/1.0/loadbalancer/${LB}/certificates/0123abcd.pem`;
  const missing = await inject(bed, 'GET', path);
  t.strictSame(
    [missing.status, missing.body],
    [
      404,
      { message: 'Certificate Not Found', details: 'No certificate with filename: 0123abcd.pem' },
    ],
  );
  const pem = Buffer.from([0, 255, 10]);
  const put = await inject(bed, 'PUT', path, { payload: pem });
  t.strictSame([put.status, put.body, put.headers.etag], [200, { message: 'OK' }, md5(pem)]);
  const file = join(bed.directory, 'lib/certs', LB, '0123abcd.pem');
  t.strictSame(readFileSync(file), pem);
  t.equal(statSync(file).mode & 0o777, 0o600);
  const got = await inject(bed, 'GET', path);
  t.strictSame([got.status, got.body, got.headers.etag], [200, { md5sum: md5(pem) }, md5(pem)]);
  for (let i = 0; i < 2; i += 1) {
    const removed = await inject(bed, 'DELETE', path);
    t.strictSame([removed.status, removed.body], [200, { message: 'OK' }]);
  }
  t.notOk(existsSync(file));
});

t.test("the agent's own certificate and configuration", async (t) => {
  const bed = await startBed(t.testdir());
  const rotated = readFileSync(fixture('rotation/server-rotated.pem'), 'utf8');
  const put = await inject(bed, 'PUT', '/1.0/certificate', { payload: rotated });
  t.strictSame([put.status, put.body], [202, { message: 'OK' }]);
  t.equal(readFileSync(join(bed.directory, 'pair/server.pem'), 'utf8'), rotated);
  const good = await inject(bed, 'PUT', '/1.0/config', { payload: '[DEFAULT]\ndebug = True\n' });
  t.strictSame([good.status, good.body], [202, { message: 'OK' }]);
  const bad = await inject(bed, 'PUT', '/1.0/config', { payload: '[DEFAULT]\ndebug = maybe\n' });
  t.equal(bad.status, 500);
  t.match(bad.body, { message: 'Unable to update amphora-agent configuration.', details: /debug/ });
});

t.test('plugging', async (t) => {
  const bed = await startBed(t.testdir());
  const more = { payload: VIP_BODY, headers: JSON_HEADERS };
  const plugged = await inject(bed, 'POST', '/1.0/plug/vip/10.0.0.10', more);
  t.strictSame(
    [plugged.status, plugged.body],
    [202, { message: 'OK', details: 'VIPs plugged on interface eth1: 10.0.0.10' }],
  );
  t.match(bed.network.plugs[0], {
    mac: 'fa:16:3e:00:00:01',
    port: { mtu: 1450, vrrpIp: '10.0.0.20', vips: [{ address: '10.0.0.10' }] },
  });
  t.ok(bed.dataplane.last, 'the datapath hears of the interface before the answer');
  bed.network.refuse = new AgentError('INTERFACE_NOT_FOUND', {
    details: 'No suitable network interface found',
  });
  const missing = await inject(bed, 'POST', '/1.0/plug/vip/10.0.0.10', more);
  t.strictSame(
    [missing.status, missing.body],
    [404, { details: 'No suitable network interface found' }],
  );
  bed.network.refuse = null;
  const network = await inject(bed, 'POST', '/1.0/plug/network', {
    payload: { mac_address: 'fa:16:3e:00:00:02' },
    headers: JSON_HEADERS,
  });
  t.strictSame(
    [network.status, network.body],
    [202, { message: 'OK', details: 'Plugged on interface eth2' }],
  );
});

t.test('interfaces and their rules', async (t) => {
  const bed = await startBed(t.testdir());
  const found = await inject(bed, 'GET', '/1.0/interface/10.0.0.10');
  t.strictSame([found.status, found.body], [200, { message: 'OK', interface: 'eth1' }]);
  const rules = [
    { protocol: 'TCP', cidr: '192.0.2.0/24', port: 80 },
    { protocol: 'VRRP', cidr: null, port: 112 },
  ];
  const more = { payload: rules, headers: JSON_HEADERS };
  const put = await inject(bed, 'PUT', '/1.0/interface/10.0.0.10/rules', more);
  t.strictSame([put.status, put.body], [200, { message: 'OK' }]);
  t.strictSame(bed.dataplane.last?.allowed, [{ protocol: 'TCP', cidr: '192.0.2.0/24', port: 80 }]);
  const restarted = await startBed(bed.directory);
  t.strictSame(restarted.dataplane.last?.allowed?.length, 1, 'rules survive a restart');
  writeFileSync(join(bed.directory, 'unrelated'), '');
});
