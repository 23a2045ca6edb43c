// SPDX-License-Identifier: Apache-2.0
// When what comes into force: uploads, reloads, refusals, failures, restarts, and moves between the engines.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import t from 'tap';
import type { IpAddress } from '../../agent/core/model/load-balancer.js';
import { type Bed, startBed, upload } from './recorders.js';

const LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const A01 = 'a01-tcp/haproxy-08d76b82-11.0.0.cfg';
const A05 = 'a05-hm-tcp/haproxy-e81b8d50-11.0.0.cfg';
const A16 = 'a16-http/haproxy-55a1b864-11.0.0.cfg';
const A27 = 'a27-terminated/haproxy-54c85504-11.0.0.cfg';
const VRRP = 'a35-active-standby/vrrp-3807b70b-11.0.0.conf';
const A37 = 'a37-udp-hm-persist/lvs-c7797615-11.0.0.conf';

const put = async ({ app }: Bed, text: string, id = LB) => {
  const answer = await app.inject({
    method: 'PUT',
    url: `/1.0/loadbalancer/amphora/${id}/haproxy`,
    payload: text,
  });
  return answer.statusCode;
};
const act = async ({ app }: Bed, action: string, id = LB) => {
  const answer = await app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${id}/${action}` });
  return answer.statusCode;
};
const bodyOf = (text: string): string => text.slice(text.indexOf('\nfrontend ') + 1);
const served = ({ dataplane }: Bed) => dataplane.last?.listeners.map(({ id }) => id);
const weights = ({ dataplane }: Bed) =>
  dataplane.last?.listeners.flatMap(({ pools }) =>
    pools.flatMap(({ members }) => members.map(({ weight }) => weight)),
  );

t.test('an upload changes nothing, the reload after it does', async (t) => {
  const bed = await startBed(t.testdir());
  const before = bed.dataplane.applied.length;
  t.equal(await put(bed, upload(bed.directory, A01)), 202);
  t.equal(bed.dataplane.applied.length, before);
  t.equal(await act(bed, 'reload'), 202);
  t.strictSame(served(bed), ['5b5f836e-5c59-588b-b2bf-926403636453']);
  t.equal(bed.haproxy.brought.at(-1)?.text, null, 'nothing is left for HAProxy');
  const heavier = upload(bed.directory, A01).replaceAll('weight 1', 'weight 7');
  await put(bed, heavier);
  t.strictSame(weights(bed), [1, 1]);
  await act(bed, 'reload');
  t.strictSame(weights(bed), [7, 7]);
});

t.test('a restart brings back what was committed, not what was uploaded', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  await put(bed, upload(directory, A01));
  await act(bed, 'reload');
  await put(bed, upload(directory, A01).replaceAll('weight 1', 'weight 7'));
  const restarted = await startBed(directory);
  t.strictSame(weights(restarted), [1, 1]);
  t.equal(await act(restarted, 'reload'), 202);
  t.strictSame(weights(restarted), [7, 7]);
  await act(restarted, 'stop');
  t.strictSame(served(restarted), []);
  t.strictSame(served(await startBed(directory)), [], 'stopped stays stopped');
});

t.test('a datapath that fails is an error answer, and the next reload repairs it', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  await put(bed, upload(directory, A01));
  bed.dataplane.failNext = true;
  t.equal(await act(bed, 'reload'), 500);
  t.equal(served(await startBed(directory))?.length, 1, 'a restart replays it');
  t.equal(await act(bed, 'reload'), 202);
  t.equal(served(bed)?.length, 1);
});

t.test('a HAProxy that fails is named in the answer', async (t) => {
  const bed = await startBed(t.testdir());
  await put(bed, upload(bed.directory, A05));
  bed.haproxy.failBring = true;
  const answer = await bed.app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${LB}/reload` });
  t.equal(answer.statusCode, 500);
  t.strictSame(answer.json(), { message: 'Error reloading haproxy', details: 'no worker' });
});

t.test('monitored pools stay in HAProxy, of both grammars in one config', async (t) => {
  const bed = await startBed(t.testdir());
  const tcp = upload(bed.directory, A05);
  const udp = upload(bed.directory, A37);
  const id = /loadbalancer (\S+)/.exec(tcp)?.[1] ?? '';
  const listener = /for Listener (\S+)/.exec(udp)?.[1] ?? '';
  await put(bed, tcp, id);
  await act(bed, 'reload', id);
  await bed.app.inject({
    method: 'PUT',
    url: `/1.0/listeners/amphora/${listener}/udp_listener`,
    payload: udp.replace(/Loadbalancer \S+/, `Loadbalancer ${id}`),
  });
  await act(bed, 'reload', listener);
  t.equal(served(bed)?.length, 2);
  const remainder = bed.haproxy.brought.at(-1);
  t.equal(remainder?.loadBalancerId, id);
  t.match(remainder?.text, /server bc094e34\S+ 10\.1\.0\.10:80 .*check/);
  t.match(remainder?.text, new RegExp(`backend \\S+:${listener}`));
  t.notMatch(remainder?.text, /^frontend/m);
  const socket = `${bed.directory}/lib/${id}.sock`;
  t.strictSame(bed.amphora.statsSockets(), [socket]);

  // The last TCP listener goes; HAProxy goes on checking the members of the UDP listener.
  const own = [socket, `${bed.directory}/lib/${id}/${id}.pid`];
  for (const file of own) writeFileSync(file, '');
  await bed.app.inject({ method: 'DELETE', url: `/1.0/listeners/${id}` });
  t.match(bed.haproxy.brought.at(-1)?.text, new RegExp(`backend \\S+:${listener}`));
  t.strictSame(bed.amphora.statsSockets(), [socket]);
  t.ok(own.every(existsSync), 'what belongs to the process stays with it');
  t.notOk(existsSync(`${bed.directory}/lib/${id}/haproxy.cfg`), 'the upload is gone');
});

t.test('a listener that moves to HAProxy stays in the datapath until that is ready', async (t) => {
  const bed = await startBed(t.testdir());
  const tcp = upload(bed.directory, A01);
  await put(bed, tcp);
  await act(bed, 'reload');
  const order: string[] = [];
  const { haproxy, dataplane } = bed;
  const apply = dataplane.apply.bind(dataplane);
  dataplane.apply = (wanted) => {
    order.push(`datapath ${wanted.listeners.length}`);
    return apply(wanted);
  };
  const bring = haproxy.bring.bind(haproxy);
  haproxy.bring = (remainder) => {
    order.push(`haproxy ${remainder.text?.includes('frontend') === true}`);
    return bring(remainder);
  };
  await put(bed, tcp.replaceAll('mode tcp', 'mode http'));
  await act(bed, 'reload');
  t.strictSame(order, ['datapath 1', 'haproxy true', 'datapath 0']);
  order.length = 0;
  await put(bed, tcp);
  await act(bed, 'reload');
  t.strictSame(order, ['datapath 1', 'haproxy false']);
});

t.test('certificates that a boot took away cost their own listener only', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  const text = upload(directory, A16) + bodyOf(upload(directory, A27));
  const id = /loadbalancer (\S+)/.exec(text)?.[1] ?? '';
  const [crtList = ''] = /\S+\/certs\/\S+\.pem/.exec(text) ?? [];
  const certificate = `${dirname(crtList)}/www.pem`;
  const place = async (one: Bed): Promise<void> => {
    for (const [file, payload] of [
      ['www.pem', 'a certificate'],
      [basename(crtList), `${certificate}\n`],
    ] as const) {
      const url = `/1.0/loadbalancer/${basename(dirname(crtList))}/certificates/${file}`;
      t.equal((await one.app.inject({ method: 'PUT', url, payload })).statusCode, 200);
    }
  };
  const frontends = ({ haproxy }: Bed): number =>
    haproxy.brought.at(-1)?.text?.match(/^frontend/gm)?.length ?? 0;
  const script = `${directory}/lib/vrrp/check_scripts/haproxy_check_script.sh`;
  const check = (): string => readFileSync(script, 'utf8');
  await bed.app.inject({
    method: 'PUT',
    url: '/1.0/vrrp/upload',
    payload: upload(directory, VRRP),
  });
  await place(bed);
  await put(bed, text, id);
  t.equal(await act(bed, 'reload', id), 202);
  t.equal(frontends(bed), 2);
  t.match(check(), /^\/bin\/haproxy-vrrp-check /);

  rmSync(certificate);
  t.equal(await act(await startBed(directory), 'reload', id), 500, 'a crt-list of nothing');
  rmSync(`${directory}/lib/certs`, { recursive: true });
  const booted = await startBed(directory);
  t.equal(frontends(booted), 1, 'the other one is served');
  t.match(check(), /^exit 1 /, 'another amphora may have the certificates');
  const answer = await booted.app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${id}/reload` });
  t.strictSame(answer.json(), {
    message: 'Error reloading haproxy',
    details: `missing: ${crtList}`,
  });
  await place(booted);
  t.equal(await act(booted, 'reload', id), 202);
  t.equal(frontends(booted), 2);
  t.match(check(), /^\/bin\/haproxy-vrrp-check /);

  rmSync(`${directory}/lib/certs`, { recursive: true });
  await act(booted, 'reload', id);
  t.equal(frontends(booted), 2, 'what runs is not taken out for a file that goes later');
});

t.test('members that are down, and the network, reach the datapath', async (t) => {
  const bed = await startBed(t.testdir());
  await bed.amphora.setDown(new Set(['p:l/m']));
  t.strictSame(bed.dataplane.last?.down, new Set(['p:l/m']));
  const [first] = bed.network.interfaces;
  t.ok(first);
  if (first) bed.network.interfaces = [{ ...first, ifindex: 77 }];
  await bed.amphora.networkChanged();
  t.equal(bed.dataplane.last?.interfaces[0]?.ifindex, 77, 'numbers are never cached');
  t.strictSame(bed.dataplane.last?.down, new Set(['p:l/m']), 'health stays');
  t.equal(bed.dataplane.generations, 1);
});

t.test('an SR-IOV port drops everything until its rules come', async (t) => {
  const bed = await startBed(t.testdir());
  t.strictSame(bed.dataplane.applied.at(-1)?.allowed, null);
  bed.network.hasSriov = true;
  await bed.amphora.networkChanged();
  t.strictSame(bed.dataplane.applied.at(-1)?.allowed, []);
});

t.test('a member at an address of the amphora goes to HAProxy', async (t) => {
  const bed = await startBed(t.testdir());
  const [first] = bed.network.interfaces;
  if (first) {
    const own = { address: '10.1.0.10' as IpAddress, prefix: 24 };
    bed.network.interfaces = [{ ...first, addresses: [...first.addresses, own] }];
  }
  await put(bed, upload(bed.directory, A01));
  await act(bed, 'reload');
  t.strictSame(served(bed), []);
});

t.test('requests in parallel are answered as if one came after the other', async (t) => {
  const bed = await startBed(t.testdir());
  const text = upload(bed.directory, A01);
  await put(bed, text);
  const answers = await Promise.all([
    act(bed, 'reload'),
    put(bed, text.replaceAll('weight 1', 'weight 3')),
    act(bed, 'reload'),
    act(bed, 'stop'),
    act(bed, 'reload'),
  ]);
  t.strictSame(answers, [202, 202, 202, 202, 202]);
  t.equal(served(bed)?.length, 1);
});
