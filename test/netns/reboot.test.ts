// SPDX-License-Identifier: Apache-2.0
// After a boot nothing is left but the disk, and the RAM disk of the certificates is empty (contract 5.11).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeBed } from '../support/bed.js';
import {
  LOAD_BALANCER,
  listenerId,
  renderLoadBalancer,
  type ListenerSpec,
} from '../support/load-balancer-config.js';
import { makePair } from '../support/pair.js';
import { sleep, until } from '../support/run.js';
import { PORTS, VIP } from '../support/topology.js';
import { datagrams, Flows } from '../support/traffic.js';

const PORT = { tcp: 8001, http: 8002, tls: 8003, udp: 5301 } as const;
const members = [{ member: 'm1' }, { member: 'm2' }] as const;
const offloaded: ListenerSpec = { fixture: 'a01-tcp', port: PORT.tcp, members };
const http: ListenerSpec = { fixture: 'a16-http', port: PORT.http, members };
const tls: ListenerSpec = { fixture: 'a27-terminated', port: PORT.tls, members };
const udp: ListenerSpec = { fixture: 'a36-udp', port: PORT.udp, members };

const CERTIFICATES = `/var/lib/octavia/certs/${LOAD_BALANCER}`;
const crtList = `${listenerId(PORT.tls)}.pem`;

/** The controller's rendering, with the TLS listener's certificates where the controller would put them. */
const config = renderLoadBalancer([offloaded, http, tls]).replace(
  `bind ${VIP.v4}:${PORT.tls}`,
  `bind ${VIP.v4}:${PORT.tls} ssl crt-list ${CERTIFICATES}/${crtList}`,
);

const makeCertificate = (): string => {
  const directory = mkdtempSync('/tmp/amp-cert-');
  const [key, certificate] = [join(directory, 'key'), join(directory, 'cert')];
  const subject = ['-x509', '-nodes', '-subj', '/CN=www.example.org', '-days', '2'];
  const how = ['-newkey', 'rsa:2048', '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', ...subject, ...how], { stdio: 'ignore' });
  const pem = readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8');
  rmSync(directory, { recursive: true });
  return pem;
};

t.test(
  'what the disk says is back after a boot, TLS as soon as its certificates are',
  async (t) => {
    const bed = await makeBed(t, { hook: 'xdp', ports: Object.values(PORT) });
    const { vm, world, controller } = bed;
    const pem = makeCertificate();
    const uploadCertificates = async (): Promise<void> => {
      const path = `/1.0/loadbalancer/${LOAD_BALANCER}/certificates`;
      await controller.must('PUT', `${path}/www.pem`, pem);
      await controller.must('PUT', `${path}/${crtList}`, `${CERTIFICATES}/www.pem\n`);
    };
    /** Status that an HTTP client gets: the members speak no HTTP, but HAProxy does. */
    const fetch = (): Promise<string> => {
      const url = `http://${VIP.v4}:${PORT.http}/`;
      const words = ['-s', '--max-time', '5', '-o', '/dev/null', '-w', '%{http_code}', url];
      return world.client.exec('curl', ...words).catch(() => 'failed');
    };
    const speaksTls = async (): Promise<boolean> => {
      const words = ['-connect', `${VIP.v4}:${PORT.tls}`];
      const output = await world.client
        .exec('timeout', '5', 'openssl', 's_client', ...words)
        .catch((error: unknown) => String(error));
      return output.includes('CN = www.example.org');
    };
    const balanced = async (what: string): Promise<void> => {
      const flows = new Flows(world.client, VIP.v4, PORT.tcp);
      t.strictSame((await flows.open(20)).members, { m1: 10, m2: 10 }, `TCP ${what}`);
      await flows.stop();
      const spec = { address: VIP.v4, port: PORT.udp, sockets: 20, rounds: 1, size: 100 };
      t.match(await datagrams(world.client, spec), { right: 20, lost: 0 }, `UDP ${what}`);
    };
    const addresses = async (): Promise<string[]> => {
      const text = await vm.execTenant('ip', '-o', 'address', 'show', 'scope', 'global');
      return [...text.matchAll(/(eth\d)\s+inet6? (\S+)/g)]
        .map((found) => found.slice(1).join(' '))
        .sort();
    };
    const listeners = (): Promise<string> => vm.execTenant('ss', '-Hltn');

    await bed.pushUdp(udp);
    await uploadCertificates();
    await controller.pushLoadBalancer(LOAD_BALANCER, config);
    t.ok(await speaksTls(), 'before the boot');
    await balanced('before the boot');
    const before = await addresses();

    await vm.reboot();
    rmSync(vm.path('/var/lib/octavia/certs'), { recursive: true });
    t.notOk(existsSync(vm.path('/sys/fs/bpf/amphora-xdp')), 'no pin is left');
    t.notMatch(await vm.exec('ip', 'netns', 'list'), 'amphora-haproxy');
    t.equal((await vm.exec('pgrep', '-c', 'haproxy').catch(() => '0')).trim(), '0');
    vm.startAgent();
    await controller.waitForAgent();

    t.strictSame(await addresses(), before, 'interfaces as they were');
    t.match(await vm.execTenant('ip', '-o', 'link', 'show', 'eth1'), PORTS.vip.mac);
    t.match(await vm.execTenant('ip', 'rule', 'show'), `from ${VIP.v4} lookup 1`);
    await balanced('after the boot');
    t.equal(await fetch(), '502', 'HAProxy serves what needs no certificate');
    t.notMatch(await listeners(), `${VIP.v4}:${PORT.tls} `, 'and only that');
    t.match(vm.log(), 'certificates are missing');

    await bed.pushUdp(udp);
    t.match(await listeners(), `${VIP.v4}:${PORT.http} `, 'changes of others go through meanwhile');

    await uploadCertificates();
    t.notOk(await speaksTls(), 'a file alone changes nothing');
    await controller.pushLoadBalancer(LOAD_BALANCER, config);
    t.ok(await speaksTls(), 'back with the reload');
    t.equal(await fetch(), '502');
    await balanced('at the end');
  },
);

t.test('keepalived is back after a boot, and holds the VIP again when it must', async (t) => {
  const { world, master, backup } = await makePair(t, PORT.tcp);
  const listener: ListenerSpec = { ...offloaded };
  await master.push(listener);
  await until('the master takes the VIP', () => master.holdsVip(), 20_000);
  await backup.push(listener);
  await master.vm.reboot();
  await until('the backup takes the VIP', () => backup.holdsVip(), 20_000);
  master.vm.startAgent();
  await master.controller.waitForAgent();
  t.equal((await master.interfaceOfVip())[0], 404, 'the agent leaves the VIP to keepalived');
  const script = '/var/lib/octavia/vrrp/check_script.sh';
  await until('its check passes', () =>
    master.vm.execTenant('bash', script).then(
      () => true,
      () => false,
    ),
  );
  await sleep(4000);
  t.ok(await backup.holdsVip(), 'no preemption');
  await backup.vm.destroy();
  await until('the rebooted one takes the VIP', () => master.holdsVip(), 20_000);
  const flows = new Flows(world.client, VIP.v4, PORT.tcp);
  t.strictSame((await flows.open(20)).members, { m1: 10, m2: 10 });
  await flows.stop();
});
