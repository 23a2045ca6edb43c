// SPDX-License-Identifier: Apache-2.0
// Takes a config into force and out of it, in both engines, without a gap for clients.
import { type AmphoraParts, managesVips } from './amphora-parts.js';
import type { Committed, CommittedConfigs } from './committed.js';
import type { Engine, Listener } from './core/model/load-balancer.js';
import { movingListeners } from './core/plan/moving.js';
import { namedFiles } from './core/render/missing-files.js';
import { AgentError, textOf } from './errors.js';
import type { Projection } from './projection.js';
import type { ConfigKind } from './shell/store.js';
import { wantsMetrics } from './shell/metrics-service.js';

interface ChangeOptions {
  readonly parts: AmphoraParts;
  readonly committed: CommittedConfigs;
  readonly projection: Projection;
}

/** Every method needs its turn in the amphora's queue. */
export class Changes {
  readonly #parts: AmphoraParts;
  readonly #committed: CommittedConfigs;
  readonly #projection: Projection;

  constructor({ parts, committed, projection }: ChangeOptions) {
    this.#parts = parts;
    this.#committed = committed;
    this.#projection = projection;
  }

  /**
   * `data`: the upload as stored, which `committed.upload` was read from. Throws SERVICE_FAILED where HAProxy fails,
   * or has to leave listeners out.
   */
  async commit(committed: Committed, data: Uint8Array, action: 'start' | 'reload'): Promise<void> {
    const { store, log } = this.#parts;
    const { kind, id, upload } = committed;
    await store.saveCommitted(kind, id, data); // first, so that a crash below replays it at start
    await this.#change(
      () => {
        this.#committed.set(committed);
      },
      { action, id },
    );
    await this.#announce(upload.listeners);
    for (const listener of upload.listeners) {
      const { engine, reasons } = listener;
      log.debug({ listener: listener.id, engine, reasons }, 'engine chosen');
    }
    log.info({ id, kind, engines: countEngines(upload.listeners) }, 'committed');
    const missing = [...this.#committed.missing(id)];
    if (missing.length === 0) return;
    // Everything else is served, but whoever asked must not take it for all.
    const details = `missing: ${missing.join(', ')}`;
    throw new AgentError('SERVICE_FAILED', { message: `Error ${action}ing haproxy`, details });
  }

  async uncommit(kind: ConfigKind, id: string): Promise<void> {
    await this.#parts.store.removeCommitted(kind, id);
    await this.#change(
      () => {
        this.#committed.delete(id);
      },
      { action: 'reload', id },
    );
    this.#parts.log.info({ id, kind }, 'out of force');
  }

  /** After the agent's start: daemons that run go on, the others are started. */
  async adopt(): Promise<void> {
    const { haproxy, keepalived, log } = this.#parts;
    for (const id of this.#committed.loadBalancerIds()) {
      await this.#lookForFiles(id);
      const outcome = await haproxy.adopt(this.#committed.remainder(id)).catch(textOf);
      log.info({ loadBalancer: id, outcome }, 'HAProxy adopted');
    }
    await keepalived.adopt(this.#committed.duty()).catch((error: unknown) => {
      log.error({ err: error }, 'keepalived not adopted');
    });
    await this.#followMetrics();
  }

  /**
   * Brings both engines to the new state so that each listener is always served: what moves to the datapath is
   * taken there before HAProxy lets go, and what moves to HAProxy stays in the datapath until that is ready.
   */
  async #change(
    change: () => void,
    { action, id: asked }: { action: 'start' | 'reload'; id: string },
  ): Promise<void> {
    const committed = this.#committed;
    const before = committed.datapathListeners();
    const loadBalancers = committed.loadBalancerIds();
    change();
    if (committed.missing(asked).size > 0) await this.#lookForFiles(asked);
    const moving = movingListeners(before, committed.datapathListeners(), committed.listeners());
    await this.#projection.apply(moving);
    try {
      for (const id of new Set([...loadBalancers, ...committed.loadBalancerIds()])) {
        await this.#parts.haproxy.bring(committed.remainder(id), action, id === asked);
      }
    } finally {
      if (moving.length > 0) await this.#projection.apply();
      await this.#parts.keepalived.refreshCheck(committed.duty(), committed.all().length === 0);
      await this.#followMetrics();
    }
  }

  /**
   * Which files HAProxy cannot have. Only those of the start count: a file that goes later, because its listener is
   * about to, must not take a listener that runs out of HAProxy.
   */
  async #lookForFiles(id: string): Promise<void> {
    const { store, haproxy, config, log } = this.#parts;
    const text = this.#committed.get(id)?.upload.text ?? '';
    this.#committed.setMissing(id, new Set());
    const missing = await store.missingCertificates(namedFiles(text, config().baseCertDir));
    if (missing.size === 0 || (await haproxy.runs(this.#committed.remainder(id)))) return;
    this.#committed.setMissing(id, missing);
    const words = 'certificates are missing, their listeners are left out';
    log.error({ loadBalancer: id, files: [...missing] }, words);
  }

  /** Without it a VIP that came from another amphora is unreachable until caches expire (contract P33). */
  async #announce(listeners: readonly Listener[]): Promise<void> {
    if (!managesVips(this.#parts)) return; // keepalived does it
    const vips = listeners.flatMap((listener) => listener.vips.map(({ address }) => address));
    await this.#parts.announcer.announce(vips);
  }

  #followMetrics(): Promise<void> {
    const texts = this.#committed.all().map(({ upload }) => upload.text);
    return this.#parts.metrics.follow(texts.some(wantsMetrics));
  }
}

const countEngines = (listeners: readonly Listener[]): Partial<Record<Engine, number>> => {
  const counts: Partial<Record<Engine, number>> = {};
  for (const { engine } of listeners) counts[engine] = (counts[engine] ?? 0) + 1;
  return counts;
};
