// SPDX-License-Identifier: Apache-2.0
// The state on disk, which is the truth: the reference's files (contract, appendix B), and beside them a copy
// of each config that was committed. An upload alone changes nothing (P11), also not over a restart.
import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isObjectId } from '../core/model/ids.js';
import type { FirewallRule } from '../core/network/rules.js';
import { isMissing, readIfPresent, removePath, writeFileAtomic } from './files.js';

export type ConfigKind = 'haproxy' | 'lvs';

export interface StoreOptions {
  readonly basePath: string;
  readonly baseCertDir: string;
  readonly stateDirectory: string;
}

/** Bare hexadecimal MD5: the reference's ETag. */
export const md5 = (data: string | Uint8Array): string =>
  createHash('md5').update(data).digest('hex');

export class Store {
  readonly #options: StoreOptions;
  /** Names below base_path that are no load balancer's. */
  readonly #taken: ReadonlySet<string>;

  constructor(options: StoreOptions) {
    this.#options = options;
    const { basePath, baseCertDir, stateDirectory } = options;
    const own = [baseCertDir, stateDirectory].map((path) => relative(basePath, path).split('/')[0]);
    this.#taken = new Set(['lvs', 'vrrp', 'plugged_interfaces', ...own.map((name) => name ?? '')]);
  }

  /** Makes the directories that others write to. */
  async prepare(): Promise<void> {
    const { basePath, stateDirectory } = this.#options;
    await mkdir(basePath, { recursive: true });
    await mkdir(stateDirectory, { recursive: true });
  }

  /** False for what would take the place of something else below base_path, or cannot name a file. */
  isId(id: string): boolean {
    return isObjectId(id) && !this.#taken.has(id);
  }

  /** Directory of a load balancer; HAProxy's PID file and saved server states lie there. */
  directory(loadBalancerId: string): string {
    return join(this.#options.basePath, loadBalancerId);
  }

  statsSocket(loadBalancerId: string): string {
    return join(this.#options.basePath, `${loadBalancerId}.sock`);
  }

  /** What HAProxy runs: the upload without what the datapath serves. */
  remainderFile(loadBalancerId: string): string {
    return join(this.#options.stateDirectory, 'remainder', `${loadBalancerId}.cfg`);
  }

  /** What a HAProxy that no longer runs left behind, and its directory if nothing else is in it. */
  async removeRuntime(loadBalancerId: string): Promise<void> {
    const directory = this.directory(loadBalancerId);
    await removePath(this.remainderFile(loadBalancerId));
    await removePath(this.statsSocket(loadBalancerId));
    await removePath(join(directory, 'servers-state'));
    await rmdir(directory).catch(() => undefined);
  }

  uploadFile(kind: ConfigKind, id: string): string {
    const { basePath } = this.#options;
    return kind === 'haproxy'
      ? join(basePath, id, 'haproxy.cfg')
      : join(basePath, 'lvs', `octavia-keepalivedlvs-${id}.conf`);
  }

  readUpload(kind: ConfigKind, id: string): Promise<Buffer | null> {
    return this.isId(id) ? readIfPresent(this.uploadFile(kind, id)) : Promise.resolve(null);
  }

  saveUpload(kind: ConfigKind, id: string, data: Uint8Array): Promise<void> {
    return writeFileAtomic(this.uploadFile(kind, id), data, kind === 'haproxy' ? 0o600 : 0o644);
  }

  /** Where a HAProxy upload lies while `haproxy -c` looks at it. */
  stagedFile(id: string): string {
    return `${this.uploadFile('haproxy', id)}.new`;
  }

  stageUpload(id: string, data: Uint8Array): Promise<void> {
    return writeFileAtomic(this.stagedFile(id), data, 0o600);
  }

  acceptUpload(id: string): Promise<void> {
    return rename(this.stagedFile(id), this.uploadFile('haproxy', id));
  }

  /** Keeps the refused file for people to look at, as the reference does. */
  failUpload(id: string): Promise<void> {
    return rename(this.stagedFile(id), `${this.stagedFile(id)}-failed`);
  }

  /** Ids of everything uploaded. */
  async uploads(): Promise<{ kind: ConfigKind; id: string }[]> {
    const { basePath } = this.#options;
    const found: { kind: ConfigKind; id: string }[] = [];
    for (const id of await list(basePath)) {
      if (id === 'lvs' || (await readIfPresent(join(basePath, id, 'haproxy.cfg'))) === null)
        continue;
      found.push({ kind: 'haproxy', id });
    }
    for (const name of await list(join(basePath, 'lvs'))) {
      const id = /^octavia-keepalivedlvs-(.+)\.conf$/.exec(name)?.[1];
      if (id !== undefined) found.push({ kind: 'lvs', id });
    }
    return found;
  }

  /** From now on this text is in force, also after a restart. */
  saveCommitted(kind: ConfigKind, id: string, data: Uint8Array): Promise<void> {
    return writeFileAtomic(this.#committedFile(kind, id), data, 0o600);
  }

  removeCommitted(kind: ConfigKind, id: string): Promise<void> {
    return removePath(this.#committedFile(kind, id));
  }

  /** Everything in force. */
  async committed(): Promise<{ kind: ConfigKind; id: string; data: Buffer }[]> {
    const found: { kind: ConfigKind; id: string; data: Buffer }[] = [];
    for (const kind of ['haproxy', 'lvs'] as const) {
      for (const name of await list(join(this.#options.stateDirectory, 'committed', kind))) {
        const id = /^(.+)\.conf$/.exec(name)?.[1];
        const data = id === undefined ? null : await readIfPresent(this.#committedFile(kind, id));
        if (id !== undefined && data !== null) found.push({ kind, id, data });
      }
    }
    return found;
  }

  /**
   * Removes uploads and what belongs to them; the committed copy first, so that a crash cannot revive it. `isServing`:
   * a HAProxy runs for this load balancer all the same, so what is its own stays.
   */
  async remove(kind: ConfigKind, id: string, isServing = false): Promise<void> {
    await this.removeCommitted(kind, id);
    if (kind === 'lvs') {
      await removePath(this.uploadFile(kind, id));
      return;
    }
    await removePath(join(this.#options.baseCertDir, id));
    if (isServing) {
      for (const end of ['', '.new', '.new-failed']) {
        await removePath(`${this.uploadFile(kind, id)}${end}`);
      }
      return;
    }
    await removePath(this.statsSocket(id));
    await removePath(this.directory(id));
  }

  /** Of SR-IOV ports; they survive a restart. */
  saveRules(rules: readonly FirewallRule[]): Promise<void> {
    return writeFileAtomic(this.#rulesFile, `${JSON.stringify(rules)}\n`, 0o600);
  }

  /** Null: none were ever sent. */
  async readRules(): Promise<FirewallRule[] | null> {
    const data = await readIfPresent(this.#rulesFile);
    return data === null ? null : (JSON.parse(data.toString()) as FirewallRule[]);
  }

  get #rulesFile(): string {
    return join(this.#options.stateDirectory, 'firewall-rules.json');
  }

  async saveCertificate(loadBalancerId: string, file: string, data: Uint8Array): Promise<void> {
    await writeFileAtomic(this.#certificate(loadBalancerId, file), data, 0o600);
  }

  readCertificate(loadBalancerId: string, file: string): Promise<Buffer | null> {
    return readIfPresent(this.#certificate(loadBalancerId, file));
  }

  removeCertificate(loadBalancerId: string, file: string): Promise<void> {
    return removePath(this.#certificate(loadBalancerId, file));
  }

  /** Those of the paths that are not there, or that list (a crt-list) one that is not. */
  async missingCertificates(paths: readonly string[]): Promise<Set<string>> {
    const missing = new Set<string>();
    for (const path of paths) {
      const text = (await readIfPresent(path))?.toString('latin1');
      const lines = text?.split('\n').filter((line) => line.startsWith('/')) ?? [];
      const listed = lines.map((line) => line.split(/\s/)[0] ?? '');
      const bytes = await Promise.all(listed.map(readIfPresent));
      if (text === undefined || bytes.includes(null)) missing.add(path);
    }
    return missing;
  }

  #certificate(loadBalancerId: string, file: string): string {
    return join(this.#options.baseCertDir, loadBalancerId, file);
  }

  #committedFile(kind: ConfigKind, id: string): string {
    return join(this.#options.stateDirectory, 'committed', kind, `${id}.conf`);
  }
}

const list = async (path: string): Promise<string[]> => {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
};
