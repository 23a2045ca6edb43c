// SPDX-License-Identifier: Apache-2.0
// The image with a sealed store: TLS listeners serve again after a power cut without a word from the controller, and
// the disk alone tells no secret.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseBootSecret, parseHeader, planStore } from '../../agent/core/boot/seal.js';
import { makeServerPem } from '../support/image/config-drive.js';
import { BOOT_MS, makeImageBed } from '../support/image/image-bed.js';
import { countOnDisk, piecesOf, SEALED, SEED } from '../support/image/sealed-image.js';
import {
  LOAD_BALANCER,
  listenerId,
  renderLoadBalancer,
  type ListenerSpec,
} from '../support/load-balancer-config.js';
import { until } from '../support/run.js';
import { checkMemory, checkSealed, type Place } from '../support/seal-lifecycle.js';
import { MANAGEMENT, VIP } from '../support/topology.js';

const tls: ListenerSpec = { fixture: 'a27-terminated', port: 8443, members: [{ member: 'm1' }] };
const CERTIFICATES = `/var/lib/octavia/certs/${LOAD_BALANCER}`;
const crtList = `${listenerId(tls.port)}.pem`;
/** The controller's rendering, with the certificates where the controller would put them. */
const config = renderLoadBalancer([tls]).replace(
  `bind ${VIP.v4}:${tls.port}`,
  `bind ${VIP.v4}:${tls.port} ssl crt-list ${CERTIFICATES}/${crtList}`,
);
const HEARTBEAT_KEY = 'insecure-test-key';

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

/** Lines of a private key's body. */
const keyLines = (pem: string): Buffer[] => {
  const [, body = ''] = /PRIVATE KEY-----\n([^-]+)-----END/.exec(pem) ?? [];
  return body
    .split('\n')
    .filter((line) => line.length > 60)
    .map((line) => Buffer.from(line));
};

t.test('an amphora with a sealed store', async (t) => {
  const bed = await makeImageBed(t, { hook: 'auto', ports: [tls.port], variant: SEALED });
  const { world, vm, controller } = bed;
  const openssl = (from: { exec: typeof world.client.exec }, address: string): Promise<string> => {
    const words = ['60', 'openssl', 's_client', '-connect', address];
    return from.exec('timeout', ...words).catch((error: unknown) => String(error));
  };
  const speaksTls = async (): Promise<boolean> =>
    (await openssl(world.client, `${VIP.v4}:${tls.port}`)).includes('CN = www.example.org');
  const serverPem = async (): Promise<string> => {
    const output = await openssl(world.management, `${MANAGEMENT.amphora}:9443`);
    return /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(output)?.[0] ?? '';
  };
  const hostKeys = (): Promise<string> => vm.shell.run('cat /etc/ssh/ssh_host_*_key.pub');

  const pem = makeCertificate();
  const rotated = await makeServerPem();

  /** CPU time of the guest, emulated. */
  const cost = (): Promise<string> =>
    vm.shell.run('systemctl show -p Id,CPUUsageNSec amphora-seal amphora-config-drive | xargs');

  t.test('keeps all that is secret in it', async (t) => {
    t.comment(`made: ${await cost()}`);
    const found = await vm.shell.run(
      'for p in /etc/octavia /var/lib/cloud /var/lib/octavia/certs; do findmnt -no SOURCE,OPTIONS $p; done',
    );
    t.equal(found.match(/^\/dev\/mapper\/amphora-store\S* \S*nosuid,nodev/gm)?.length, 3, found);
    t.match(await vm.shell.run('findmnt -no SOURCE /etc/octavia/interfaces'), /^\/dev\/vda/);
    t.equal(await vm.shell.run('swapon --show'), '');
  });

  t.test('terminates TLS', async (t) => {
    const path = `/1.0/loadbalancer/${LOAD_BALANCER}/certificates`;
    await controller.must('PUT', `${path}/www.pem`, pem);
    await controller.must('PUT', `${path}/${crtList}`, `${CERTIFICATES}/www.pem\n`);
    await controller.pushLoadBalancer(LOAD_BALANCER, config);
    await until('TLS', speaksTls, 300_000);
    await controller.must('PUT', '/1.0/certificate', rotated);
    t.ok(rotated.includes(await serverPem()), 'a new certificate of its own');
  });

  t.test('does so again after a power cut, without a word from the controller', async (t) => {
    await vm.shell.run('cloud-init status --wait', BOOT_MS);
    const keys = await hostKeys();
    await vm.reset();
    await until('TLS', speaksTls, BOOT_MS);
    t.pass('TLS');
    await controller.waitForAgent(BOOT_MS);
    t.ok(rotated.includes(await serverPem()), 'the certificate that it had last');
    await vm.shell.wait(BOOT_MS);
    t.comment(`opened: ${await cost()}`);
    t.match(await vm.shell.run('journalctl -b -u amphora-seal -o cat'), '"kind":"sealed"');
    await vm.shell.run('cloud-init status --wait', BOOT_MS);
    t.equal(await hostKeys(), keys, 'cloud-init takes it for no new machine');
    t.equal(await vm.shell.run('systemctl --failed --plain --no-legend'), '');
  });

  const place = (name: string): Place => ({
    sh: (script) => vm.shell.run(script, 600_000),
    command: 'amphora-seal',
    directory: `/root/${name}`,
  });
  t.test('its store', async (t) => {
    checkMemory(t, place('memory'));
    checkSealed(t, place('sealed'));
  });

  t.test('its disk tells nothing', async (t) => {
    const dump = await vm.shell.run('cryptsetup luksDump /var/lib/amphora-seal/store.luks');
    const uuid = (await vm.shell.run('cat /var/lib/amphora-config-drive/instance')).trim();
    const metadata = JSON.stringify({ uuid, random_seed: SEED.toString('base64') });
    const plan = planStore(parseBootSecret(metadata), parseHeader(dump), Buffer.alloc(16));
    if (plan.kind !== 'open') throw new Error(`the store is not of this seed: ${plan.kind}`);
    const drivePem = await vm.shell.run(
      'mount -o ro LABEL=config-2 /mnt && cat /mnt/openstack/content/* && umount /mnt',
    );
    await vm.shell.run('sync');
    await vm.stop();
    const counts = await countOnDisk(
      vm.disk,
      new Map([
        ['the seed', piecesOf(SEED)],
        ['the seed in base64', piecesOf(SEED.toString('base64'), 24)],
        ['the key', piecesOf(Buffer.from(plan.seal.key, 'hex'))],
        ['the key in hex', piecesOf(plan.seal.key)],
        ['the key of the listener', keyLines(pem)],
        ['the first key of the agent', keyLines(drivePem)],
        ['its second key', keyLines(rotated)],
        ['the key of heartbeats', [Buffer.from(HEARTBEAT_KEY)]],
        ['the mark, which is no secret', [Buffer.from(plan.seal.mark)]],
        ['the uuid, which is none either', [Buffer.from(uuid)]],
      ]),
    );
    for (const [name, count] of counts) {
      if (/no secret|none/.test(name)) t.ok(count > 0, `${name}: found`);
      else t.equal(count, 0, name);
    }
    for (const text of [pem, drivePem, rotated])
      t.ok(keyLines(text).length > 10, 'keys to look for');
  });
});
