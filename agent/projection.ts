// SPDX-License-Identifier: Apache-2.0
// The state that the datapath shall have: listeners in force, health, interfaces and rules, applied as one.
import type { AmphoraParts } from './amphora-parts.js';
import type { CommittedConfigs } from './committed.js';
import type { ApplyReport, WantedState } from './core/model/dataplane.js';
import type { Listener } from './core/model/load-balancer.js';
import { allowedSources } from './core/network/rules.js';
import { memberAddresses } from './core/plan/moving.js';

type ProjectionParts = Pick<AmphoraParts, 'network' | 'dataplane' | 'store' | 'neighbours' | 'log'>;

/** Changed only from the amphora's queue. */
export class Projection {
  readonly #parts: ProjectionParts;
  readonly #committed: CommittedConfigs;
  #wanted: WantedState = { listeners: [], down: new Set(), interfaces: [], allowed: null };
  #report: ApplyReport | null = null;
  readonly #written: Record<string, number> = {};

  constructor(parts: ProjectionParts, committed: CommittedConfigs) {
    this.#parts = parts;
    this.#committed = committed;
  }

  get wanted(): WantedState {
    return this.#wanted;
  }

  /** Null before the first apply. */
  get report(): ApplyReport | null {
    return this.#report;
  }

  /** Records written and deleted since the agent's start, by map. */
  get mapWrites(): Readonly<Record<string, number>> {
    return { ...this.#written };
  }

  /** `extra`: listeners to serve on though they are out of force. */
  async apply(extra: readonly Listener[] = []): Promise<void> {
    const { network, dataplane, store, neighbours, log } = this.#parts;
    const { interfaces, hasSriov } = await network.read();
    const rules = await store.readRules();
    this.#wanted = {
      ...this.#wanted,
      listeners: [...this.#committed.datapathListeners(), ...extra],
      interfaces,
      // Before the first rules an SR-IOV port drops everything (contract P29).
      allowed: rules === null ? (hasSriov ? [] : null) : allowedSources(rules),
    };
    this.#note(await dataplane.apply(this.#wanted));
    await neighbours.keep(memberAddresses(this.#wanted.listeners)).catch((error: unknown) => {
      log.warn({ err: error }, 'neighbours not managed');
    });
  }

  /** For the first apply: an agent that restarts must not send clients to members that are down. */
  expectDown(down: ReadonlySet<string>): void {
    this.#wanted = { ...this.#wanted, down };
  }

  /** Health of members changed. */
  async applyDown(down: ReadonlySet<string>): Promise<void> {
    const before = this.#wanted.down;
    const fell = [...down].filter((key) => !before.has(key));
    const rose = [...before].filter((key) => !down.has(key));
    this.#parts.log.info({ down: fell, up: rose }, 'health of members changed');
    this.#wanted = { ...this.#wanted, down };
    this.#note(await this.#parts.dataplane.apply(this.#wanted));
  }

  #note(report: ApplyReport): void {
    this.#report = report;
    const { writes } = report;
    if (Object.keys(writes).length === 0) return;
    for (const [map, count] of Object.entries(writes)) {
      this.#written[map] = (this.#written[map] ?? 0) + count;
    }
    this.#parts.log.info({ writes }, 'tables applied');
  }
}
