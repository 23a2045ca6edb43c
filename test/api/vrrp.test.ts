// SPDX-License-Identifier: Apache-2.0
// keepalived's operations (contract 1.5, 20 and 21), its files, and what it checks as listeners come and go.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Bed, startBed, upload } from './recorders.js';

const LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const A01 = 'a01-tcp/haproxy-08d76b82-11.0.0.cfg';
const A37 = 'a37-udp-hm-persist/lvs-c7797615-11.0.0.conf';
const LISTENER = 'c7797615-0000-4000-8000-000000000000';
const VRRP = 'a35-active-standby/vrrp-3807b70b-11.0.0.conf';
const REFUSES = 'exit 1\n';
const HAPROXY = '/bin/haproxy-vrrp-check; exit $?\n';
const DATAPATH = '/bin/amphora-datapath-check; exit $?\n';

const call = async ({ app }: Bed, method: 'PUT' | 'DELETE', url: string, payload = '') => {
  const answer = await app.inject({ method, url, payload });
  return { status: answer.statusCode, body: answer.json<unknown>(), headers: answer.headers };
};
const file = ({ directory }: Bed, name: string): string => join(directory, 'lib/vrrp', name);
const mode = (path: string): number => statSync(path).mode & 0o777;
/** The two check scripts, null for one that is not there. */
const checks = (bed: Bed) =>
  ['haproxy_check_script.sh', 'lvs_udp_check.sh'].map((name) => {
    const path = file(bed, `check_scripts/${name}`);
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  });

t.test('upload: the answer, the files and their modes', async (t) => {
  const bed = await startBed(t.testdir());
  const text = upload(bed.directory, VRRP);
  const { status, body, headers } = await call(bed, 'PUT', '/1.0/vrrp/upload', text);
  t.strictSame([status, body], [200, { message: 'OK' }]);
  t.equal(headers.etag, createHash('md5').update(text).digest('hex'));
  t.equal(readFileSync(file(bed, 'octavia-keepalived.conf'), 'utf8'), text);
  t.equal(mode(file(bed, 'octavia-keepalived.conf')), 0o644);
  t.equal(mode(file(bed, 'check_script.sh')), 0o755);
  t.equal(mode(file(bed, 'check_scripts/haproxy_check_script.sh')), 0o644);
  t.strictSame(checks(bed), [REFUSES, null], 'no listener: nobody shall hold the VIP');
  t.strictSame(bed.services.calls, ['enable octavia-keepalived'], 'not applied');
});

t.test('actions, in any case of letters; a start of a running one is a reload', async (t) => {
  const bed = await startBed(t.testdir());
  await call(bed, 'PUT', '/1.0/vrrp/upload', upload(bed.directory, VRRP));
  for (const [action, details] of [
    ['start', 'keepalived started'],
    ['START', 'keepalived reloaded'],
    ['Reload', 'keepalived reloaded'],
    ['stop', 'keepalived stoped'],
  ] as const) {
    const { status, body } = await call(bed, 'PUT', `/1.0/vrrp/${action}`);
    t.strictSame([status, body], [202, { message: 'OK', details }], action);
  }
  const name = 'octavia-keepalived';
  const calls = ['enable', 'start', 'reload', 'reload', 'stop'].map((verb) => `${verb} ${name}`);
  t.strictSame(bed.services.calls, calls);
});

t.test('one that was stopped stays so over a restart of the agent, not over a boot', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  await call(bed, 'PUT', '/1.0/vrrp/upload', upload(directory, VRRP));
  await call(bed, 'PUT', '/1.0/vrrp/start');
  await call(bed, 'PUT', '/1.0/vrrp/stop');
  t.strictSame((await startBed(directory)).services.calls, [], 'nobody starts it');
  rmSync(join(directory, 'keepalived-stopped')); // lies below /run
  const booted = await startBed(directory);
  t.strictSame(booted.services.calls, ['start octavia-keepalived']);
  await call(booted, 'PUT', '/1.0/vrrp/stop');
  await call(booted, 'PUT', '/1.0/vrrp/start');
  const next = await startBed(directory);
  t.strictSame(next.services.calls, ['start octavia-keepalived'], 'a start ends it');
});

t.test('refusals', async (t) => {
  const bed = await startBed(t.testdir());
  const dance = await call(bed, 'PUT', '/1.0/vrrp/Dance');
  const unknown = { message: 'Invalid Request', details: 'Unknown action: dance' };
  t.strictSame([dance.status, dance.body], [400, unknown]);
  bed.services.refusal = 'no such unit';
  const start = await call(bed, 'PUT', '/1.0/vrrp/start');
  const failed = { message: 'Failed to start octavia-keepalived service', details: 'no such unit' };
  t.strictSame([start.status, start.body], [500, failed]);
  bed.services.refusal = 'disk full';
  const put = await call(bed, 'PUT', '/1.0/vrrp/upload', upload(bed.directory, VRRP));
  const enable = { message: 'Error enabling octavia-keepalived service', details: 'disk full' };
  t.strictSame([put.status, put.body], [500, enable]);
});

t.test(
  'a config that would run a program is refused with its line, and the stored one stays',
  async (t) => {
    const bed = await startBed(t.testdir());
    const good = upload(bed.directory, VRRP);
    await call(bed, 'PUT', '/1.0/vrrp/upload', good);
    const bad = good.replace('    nopreempt\n', '    notify /bin/sh\n');
    const { status, body } = await call(bed, 'PUT', '/1.0/vrrp/upload', bad);
    t.equal(status, 400);
    t.match(body, {
      message: 'Invalid request',
      details: /^line \d+: directive "notify \/bin\/sh"/,
    });
    const stored = join(bed.directory, 'lib/vrrp/octavia-keepalived.conf');
    t.equal(readFileSync(stored, 'utf8'), good);
  },
);

t.test('the checks follow what is in force, also over a restart', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  const put = (path: string, body = '') => call(bed, 'PUT', `/1.0/${path}`, body);
  await put('vrrp/upload', upload(directory, VRRP));
  await put(`listeners/amphora/${LISTENER}/udp_listener`, upload(directory, A37));
  t.strictSame(checks(bed), [REFUSES, null], 'an upload alone serves nobody');
  await put(`loadbalancer/${LISTENER}/reload`);
  t.strictSame(checks(bed), [null, DATAPATH], 'only LVS listeners');
  t.equal(mode(file(bed, 'check_scripts/lvs_udp_check.sh')), 0o100);
  await put(`loadbalancer/amphora/${LB}/haproxy`, upload(directory, A01));
  await put(`loadbalancer/${LB}/reload`);
  t.strictSame(checks(bed), [HAPROXY, DATAPATH], 'no HAProxy runs for an offloaded listener');
  await call(bed, 'DELETE', `/1.0/listeners/${LISTENER}`);
  t.strictSame(checks(bed), [HAPROXY, DATAPATH]);
  await call(bed, 'DELETE', `/1.0/listeners/${LB}`);
  t.strictSame(checks(bed), [HAPROXY, null], 'the last has gone: passes');
  const successor = await startBed(directory);
  t.strictSame(checks(successor), [HAPROXY, null], 'still so after a restart');
  t.strictSame(successor.services.calls, ['start octavia-keepalived'], 'as after a reboot');
});

t.test('a single amphora announces its VIPs after each start and reload', async (t) => {
  const bed = await startBed(t.testdir());
  const config = upload(bed.directory, A01);
  const vip = /bind (\S+):\d+/.exec(config)?.[1];
  await call(bed, 'PUT', `/1.0/loadbalancer/amphora/${LB}/haproxy`, config);
  t.strictSame(bed.announced, [], 'not at the upload');
  await call(bed, 'PUT', `/1.0/loadbalancer/${LB}/reload`);
  await call(bed, 'PUT', `/1.0/loadbalancer/${LB}/start`);
  t.strictSame(bed.announced, [[vip ?? ''], [vip ?? '']]);
});
