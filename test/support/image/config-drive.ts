// SPDX-License-Identifier: Apache-2.0
// A config drive as Nova makes it, with what a controller delivers on it.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { amphoraFixture } from '../fixtures.js';
import { inCheckout } from '../paths.js';
import { run } from '../run.js';
import { AMPHORA_ID } from '../tls.js';
import { MANAGEMENT } from '../topology.js';
import { LOG_PORTS } from './log-targets.js';

export const MANAGEMENT_MAC = 'fa:16:3e:00:00:02';

export interface ConfigDriveOptions {
  /** Lines for [amphora_xdp]. */
  readonly options?: readonly string[];
  /** Cloud-config lines below the controller's own `runcmd:`. */
  readonly commands?: readonly string[];
  /** Leaves the files out of the drive and sends them as user data (`user_data_config_drive = True`). */
  readonly filesInUserData?: boolean;
  /** Nova draws 512 bytes when it makes a drive. */
  readonly seed?: Uint8Array;
}

/** Debian's Python, whatever others stand before it: python3-octavia is installed for that one. */
const PYTHON = '/usr/bin/python3';

/** server.pem by the controller's own generator, for the fixture amphora. */
export const makeServerPem = (seconds?: number): Promise<string> => {
  const pki = inCheckout('test/fixtures/controller-vm/pki');
  const args = [
    ...['-W', 'ignore', inCheckout('test/support/image/server_pem.py'), AMPHORA_ID],
    ...[`${pki}/server_ca.cert.pem`, `${pki}/server_ca.key.pem`],
    ...(seconds === undefined ? [] : [String(seconds)]),
  ];
  return run(PYTHON, args);
};

/** Makes the ISO image at `path`; `directory` is for its files. */
export const makeConfigDrive = async (
  path: string,
  directory: string,
  options: ConfigDriveOptions = {},
): Promise<void> => {
  const files = await deliveredFiles(options.options ?? []);
  const isPlain = options.filesInUserData !== true;
  const entries = [...files.entries()].map(([file, text], i) => ({ file, text, name: number(i) }));
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  };
  if (isPlain) for (const { name, text } of entries) write(`openstack/content/${name}`, text);
  const metadata = {
    uuid: '1f6a6c0e-5f0e-4a5c-9d3c-0123456789ab',
    name: `amphora-${AMPHORA_ID}`,
    hostname: `amphora-${AMPHORA_ID}.novalocal`,
    availability_zone: 'nova',
    random_seed: Buffer.from(options.seed ?? randomBytes(512)).toString('base64'),
    ...(isPlain
      ? {
          files: entries.map(({ file, name }) => ({
            content_path: `/content/${name}`,
            path: file,
          })),
        }
      : {}),
  };
  write('openstack/latest/meta_data.json', JSON.stringify(metadata));
  write('openstack/latest/network_data.json', JSON.stringify(networkData));
  write(
    'openstack/latest/user_data',
    userData(isPlain ? new Map() : files, options.commands ?? []),
  );
  await run('genisoimage', [
    ...['-quiet', '-J', '-r', '-V', 'config-2', '-ldots', '-allow-lowercase', '-allow-multidot'],
    ...['-l', '-o', path, directory],
  ]);
};

const number = (index: number): string => String(index).padStart(4, '0');

const deliveredFiles = async (options: readonly string[]): Promise<Map<string, string>> =>
  new Map([
    [
      '/etc/octavia/amphora-agent.conf',
      amphoraFixture('amphora-agent.conf/16.0.0-SINGLE.conf')
        .replace(
          /^controller_ip_port_list = .*$/m,
          `controller_ip_port_list = ${MANAGEMENT.controller}:5555`,
        )
        .replace(/^heartbeat_interval = .*$/m, 'heartbeat_interval = 3')
        .concat(options.length === 0 ? '' : `\n\n[amphora_xdp]\n${options.join('\n')}\n`),
    ],
    ['/etc/octavia/certs/server.pem', await makeServerPem()],
    ['/etc/octavia/certs/client_ca.pem', amphoraFixture('etc/octavia/certs/client_ca.pem')],
    ['/etc/rsyslog.d/10-rsyslog.conf', logConfig()],
  ]);

/** As with `tenant_log_targets`, `admin_log_targets` and `forward_all_logs`. */
const logConfig = (): string =>
  amphoraFixture('etc/rsyslog.d/10-rsyslog-remote-16.0.0.conf').replaceAll(
    /target="192\.0\.2\.(\d+)"\n( +)port="\d+"/g,
    (_all, host: string, indent: string) => {
      const port = host === '11' ? LOG_PORTS.tenant : LOG_PORTS.admin;
      return `target="${MANAGEMENT.controller}"\n${indent}port="${port}"`;
    },
  );

/** A fixed address, as without DHCP on the management network. */
const networkData = {
  links: [
    { id: 'tap0', type: 'ovs', vif_id: 'port0', mtu: 1500, ethernet_mac_address: MANAGEMENT_MAC },
  ],
  networks: [
    {
      id: 'network0',
      type: 'ipv4',
      link: 'tap0',
      ip_address: MANAGEMENT.amphora,
      netmask: '255.255.255.0',
      routes: [],
      network_id: 'lb-mgmt-net',
    },
  ],
  services: [],
};

/** The controller's rendering, with the test's commands behind its own. */
const userData = (files: ReadonlyMap<string, string>, commands: readonly string[]): string => {
  const kind = files.size === 0 ? 'config-drive' : 'files-in-user-data';
  const text = amphoraFixture(`user_data/16.0.0-${kind}.txt`);
  const runcmd = text.indexOf('runcmd:');
  const at = text.indexOf('\n\n', runcmd);
  const written = [...files.entries()].map(
    ([path, content]) =>
      `-   path: ${path}\n    content: |\n${content.replaceAll(/^/gm, '        ')}\n`,
  );
  const head =
    files.size === 0
      ? text.slice(0, runcmd)
      : `${text.slice(0, text.indexOf('write_files:'))}write_files:\n${written.join('')}\n`;
  const extra = commands.map((line) => `\n-   ${line}`).join('');
  return `${head}${text.slice(runcmd, at)}${extra}${text.slice(at)}\n`;
};
