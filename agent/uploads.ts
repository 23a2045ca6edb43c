// SPDX-License-Identifier: Apache-2.0
// What the controller uploaded, committed or not: checked, kept, read back.
import type { AmphoraParts } from './amphora-parts.js';
import type { Listener } from './core/model/load-balancer.js';
import { ConfigRejected } from './core/parse/config-rejected.js';
import { quoted } from './core/parse/values.js';
import { checkVrrpConfig } from './core/parse/vrrp-config.js';
import { currentConfig } from './core/render/current-config.js';
import {
  type Upload,
  decodeConfig,
  readHaproxyUpload,
  readLvsUpload,
  withoutGroup,
} from './core/upload.js';
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
    const { store } = this.#parts;
    if (!store.isId(id)) refuse(`not an id: ${quoted(id)}`);
    const data = kind === 'haproxy' ? withoutGroup(body) : body;
    const { statsSocket, loadBalancerId } = await this.read(kind, data);
    if (kind === 'haproxy' && statsSocket === null) refuse('no "stats socket" in global');
    if (kind === 'lvs' && loadBalancerId !== '' && !store.isId(loadBalancerId)) {
      refuse(`not the id of a load balancer: ${quoted(loadBalancerId)}`);
    }
    return data;
  }

  /** A VRRP config, which keepalived is to run. Throws CONFIG_REJECTED with the line. */
  validateVrrp(data: Uint8Array): void {
    refuseRejected(() => {
      checkVrrpConfig(decodeConfig(data), this.#parts.config().basePath);
    });
  }

  /** Stores what `validate` gave, if HAProxy likes it too. Throws CONFIG_REJECTED with its words. */
  async keep(kind: ConfigKind, id: string, data: Uint8Array, amphoraId: string): Promise<void> {
    const { store, haproxy } = this.#parts;
    if (kind === 'lvs') {
      await store.saveUpload(kind, id, data);
      return;
    }
    // HAProxy judges what it would be given, which an old controller says in other words; what came is kept.
    await store.stageUpload(id, Buffer.from(currentConfig(decodeConfig(data))));
    try {
      await haproxy.check(store.stagedFile(id), amphoraId);
    } catch (error) {
      await store.stageUpload(id, data);
      await store.failUpload(id);
      throw error;
    }
    await store.stageUpload(id, data);
    await store.acceptUpload(id);
  }

  /** Throws CONFIG_REJECTED with the line. */
  async read(kind: ConfigKind, data: Uint8Array): Promise<Upload> {
    const { basePath, baseCertDir } = this.#parts.config();
    const { interfaces } = await this.#parts.network.read();
    const addresses = interfaces.flatMap((one) => one.addresses.map(({ address }) => address));
    const options = { basePath, certDir: baseCertDir, localAddresses: new Set(addresses) };
    return refuseRejected(() =>
      kind === 'haproxy' ? readHaproxyUpload(data, options) : readLvsUpload(data, options),
    );
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

/** The parsers' refusal in the words of the API. */
const refuseRejected = <Value>(read: () => Value): Value => {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigRejected) return refuse(error.message, error);
    throw error;
  }
};
