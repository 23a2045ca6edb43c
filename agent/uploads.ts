// SPDX-License-Identifier: Apache-2.0
// What the controller uploaded, committed or not: checked, kept, read back.
import type { AmphoraParts } from './amphora-parts.js';
import { isName } from './core/model/ids.js';
import type { Listener } from './core/model/load-balancer.js';
import { ConfigRejected } from './core/parse/config-rejected.js';
import { type Upload, readHaproxyUpload, readLvsUpload, withoutGroup } from './core/upload.js';
import { AgentError } from './errors.js';
import type { ConfigKind } from './shell/store.js';

type UploadParts = Pick<AmphoraParts, 'config' | 'store' | 'network' | 'haproxy' | 'log'>;

export class Uploads {
  readonly #parts: UploadParts;

  constructor(parts: UploadParts) {
    this.#parts = parts;
  }

  /** Needs no turn in the queue: a bad upload costs nothing. Returns what to keep. Throws CONFIG_REJECTED. */
  async validate(kind: ConfigKind, id: string, body: Uint8Array): Promise<Uint8Array> {
    if (!isName(id)) refuse('the id cannot be a file name');
    const data = kind === 'haproxy' ? withoutGroup(body) : body;
    try {
      const upload = await this.read(kind, data);
      if (kind === 'haproxy' && upload.statsSocket === null) refuse('no "stats socket" in global');
    } catch (error) {
      if (error instanceof ConfigRejected) refuse(error.message, error);
      throw error;
    }
    return data;
  }

  /** Stores what `validate` gave, if HAProxy likes it too. Throws CONFIG_REJECTED with its words. */
  async keep(kind: ConfigKind, id: string, data: Uint8Array, amphoraId: string): Promise<void> {
    const { store, haproxy } = this.#parts;
    if (kind === 'lvs') {
      await store.saveUpload(kind, id, data);
      return;
    }
    await store.stageUpload(id, data);
    try {
      await haproxy.check(store.stagedFile(id), amphoraId);
    } catch (error) {
      await store.failUpload(id);
      throw error;
    }
    await store.acceptUpload(id);
  }

  /** Throws ConfigRejected. */
  async read(kind: ConfigKind, data: Uint8Array): Promise<Upload> {
    const { basePath, baseCertDir } = this.#parts.config();
    const { interfaces } = await this.#parts.network.read();
    const addresses = interfaces.flatMap((one) => one.addresses.map(({ address }) => address));
    const options = { basePath, certDir: baseCertDir, localAddresses: new Set(addresses) };
    return kind === 'haproxy' ? readHaproxyUpload(data, options) : readLvsUpload(data, options);
  }

  /** Null where nothing was uploaded under this id. */
  async findKind(id: string): Promise<ConfigKind | null> {
    for (const kind of ['haproxy', 'lvs'] as const) {
      if ((await this.#parts.store.readUpload(kind, id)) !== null) return kind;
    }
    return null;
  }

  /** Everything uploaded, as `GET listeners` lists it. */
  async listeners(): Promise<Listener[]> {
    const { store, log } = this.#parts;
    const found: Listener[] = [];
    for (const { kind, id } of await store.uploads()) {
      const data = await store.readUpload(kind, id);
      if (data === null) continue;
      try {
        found.push(...(await this.read(kind, data)).listeners);
      } catch (error) {
        log.warn({ err: error, id }, 'stored upload can no longer be read');
      }
    }
    return found;
  }
}

const refuse = (details: string, cause?: unknown): never => {
  throw new AgentError('CONFIG_REJECTED', { message: 'Invalid request', details }, { cause });
};
