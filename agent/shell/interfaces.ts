// SPDX-License-Identifier: Apache-2.0
// Interface files on disk, and bringing an interface of the namespace to what its file says (contract 5.5).
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { type InterfaceCommands, diffInterface } from '../core/network/interface-diff.js';
import type { InterfaceFile } from '../core/network/interface-file.js';
import { isMissing, writeFileAtomic } from './files.js';
import { loadFirewall } from './firewall.js';
import { type Link, ipBatch, readLinks, readRoutes, readRules } from './ip.js';
import { prepareInterface } from './namespace.js';
import { run } from './run.js';

export interface InterfaceOptions {
  readonly netns: string;
  readonly directory: string;
  /** nft script of SR-IOV ports. */
  readonly firewallFile: string;
  readonly log: FastifyBaseLogger;
}

/** The VIP interface has this name whatever it was before (contract P19). */
export const VIP_INTERFACE = 'eth1';

/** The controller waits 60 s for an answer (contract P14), so duplicate detection gets half of it. */
const DAD_TIMEOUT_MS = 30_000;

export const saveInterfaceFile = (directory: string, file: InterfaceFile): Promise<void> =>
  writeFileAtomic(join(directory, `${file.name}.json`), `${JSON.stringify(file)}\n`, 0o644);

/** All files of the directory that are ours to read; a damaged one is logged and skipped. */
export const readInterfaceFiles = async (options: InterfaceOptions): Promise<InterfaceFile[]> => {
  const files: InterfaceFile[] = [];
  for (const name of await listDirectory(options.directory)) {
    if (!name.endsWith('.json')) continue;
    try {
      files.push(parseInterfaceFile(await readFile(join(options.directory, name), 'utf8')));
    } catch (error) {
      options.log.warn({ err: error, file: name }, 'interface file skipped');
    }
  }
  return files;
};

/** Fields that a file of the reference agent may lack get their meaning there. Throws on nonsense. */
const parseInterfaceFile = (text: string): InterfaceFile => {
  const file = JSON.parse(text) as Partial<InterfaceFile>;
  if (typeof file.name !== 'string') throw new Error('interface file without a name');
  return {
    if_type: file.name === 'lo' ? 'lo' : file.name === 'eth1' ? 'vip' : 'backend',
    is_sriov: false,
    addresses: [],
    routes: [],
    rules: [],
    ...file,
    name: file.name,
    scripts: { up: [], down: [] },
  };
};

/**
 * Brings a link of the namespace up with the addresses, routes and rules of its file, changing only what
 * differs. Throws when the link is missing or an address cannot be set; a bad route is logged.
 */
export const bringUp = async (options: InterfaceOptions, file: InterfaceFile): Promise<void> => {
  const { netns, log } = options;
  const link = await findLink(netns, file.name);
  // Before it comes up: nothing else guards such a port (contract P29).
  if (file.is_sriov) {
    await loadFirewall({ netns, file: options.firewallFile, vipInterface: VIP_INTERFACE });
  }
  await prepareInterface(netns, file.name);
  await setAutoconfiguration(netns, file);
  if (!link.isUp) await raiseLink(netns, file);
  const before = await commandsFor(netns, file);
  const failures = await ipBatch(netns, before.addresses);
  if (failures[0]) throw new Error(`${failures[0].line}: ${failures[0].error}`);
  await awaitDuplicateDetection(netns, file.name);
  const after = await commandsFor(netns, file);
  for (const { line, error } of await ipBatch(netns, after.routes)) {
    log.warn({ interface: file.name, line, error }, 'route or rule skipped');
  }
};

const commandsFor = async (netns: string, file: InterfaceFile): Promise<InterfaceCommands> => {
  const [link, routes, rules] = await Promise.all([
    findLink(netns, file.name),
    readRoutes(netns, file.name),
    readRules(netns),
  ]);
  return diffInterface(file, { addresses: link.addresses, routes, rules });
};

const findLink = async (netns: string, name: string): Promise<Link> => {
  const link = (await readLinks(netns)).find((one) => one.name === name);
  if (!link) throw new Error(`no interface ${name} in the namespace`);
  return link;
};

/** MTU is set only here, on a link that is down (contract P25). */
const raiseLink = async (netns: string, file: InterfaceFile): Promise<void> => {
  const mtu = file.mtu === undefined ? [] : ['mtu', String(file.mtu)];
  await run('ip', ['link', 'set', 'dev', file.name, ...mtu, 'up'], { netns });
};

/**
 * Before the link comes up: only then does the kernel ask for routers, and only where it would listen to them. A
 * router of the network is no way to everywhere, as it is none on a port with fixed addresses (contract 5.4).
 */
const setAutoconfiguration = async (netns: string, file: InterfaceFile): Promise<void> => {
  const wanted = file.addresses.some(({ ipv6auto: auto }) => auto);
  const settings = wanted
    ? ['accept_ra=2', 'autoconf=1', 'accept_ra_defrtr=0']
    : ['accept_ra=0', 'autoconf=0'];
  const keys = settings.map((setting) => `net/ipv6/conf/${file.name}/${setting}`);
  await run('sysctl', ['-q', '-e', '-w', ...keys], { netns });
};

const awaitDuplicateDetection = async (netns: string, name: string): Promise<void> => {
  const end = Date.now() + DAD_TIMEOUT_MS;
  for (;;) {
    const { addresses } = await findLink(netns, name);
    // The link-local address is nobody's VIP: not worth the second that it takes.
    if (!addresses.some(({ tentative, scope }) => tentative && scope !== 'link')) return;
    if (Date.now() > end) throw new Error(`an address of ${name} is still tentative`);
    await sleep(100);
  }
};

const listDirectory = async (path: string): Promise<string[]> => {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
};
