// SPDX-License-Identifier: Apache-2.0
// The one stateful object: what is in force, and the one queue of changes to it. State on disk is the truth;
// the datapath's maps and HAProxy's config are projections of it.
import { actionDetails, parseAction } from './action.js';
import { type AmphoraParts, managesVips } from './amphora-parts.js';
import { Changes } from './changes.js';
import { type Committed, CommittedConfigs } from './committed.js';
import type { ApplyReport, WantedState } from './core/model/dataplane.js';
import type { Listener } from './core/model/load-balancer.js';
import type { NetworkPlug, VipPlug } from './core/network/plug-body.js';
import type { FirewallRule } from './core/network/rules.js';
import { AgentError } from './errors.js';
import { Projection } from './projection.js';
import { ChangeQueue } from './queue.js';
import type { ConfigKind } from './shell/store.js';
import { Uploads } from './uploads.js';

export interface Snapshot {
  readonly committed: readonly Committed[];
  /** Of all of them. */
  readonly listeners: readonly Listener[];
  readonly wanted: WantedState;
  readonly report: ApplyReport | null;
  /** Records written and deleted since the start, by map. */
  readonly mapWrites: Readonly<Record<string, number>>;
  readonly adopted: boolean;
  readonly flowCapacity: number;
}

export class Amphora {
  readonly #parts: AmphoraParts;
  readonly #queue = new ChangeQueue();
  readonly #uploads: Uploads;
  readonly #committed: CommittedConfigs;
  readonly #projection: Projection;
  readonly #changes: Changes;
  #start = { adopted: false, flowCapacity: 0 };

  constructor(parts: AmphoraParts) {
    this.#parts = parts;
    this.#uploads = new Uploads(parts);
    this.#committed = new CommittedConfigs(parts);
    this.#projection = new Projection(parts, this.#committed);
    this.#changes = new Changes({
      parts,
      committed: this.#committed,
      projection: this.#projection,
    });
  }

  /** Brings everything to what the disk says. The API may answer once this has returned (contract P2). */
  start(readDown: () => Promise<ReadonlySet<string>>): Promise<void> {
    return this.#queue.run(async () => {
      const { store, network, dataplane, log } = this.#parts;
      await store.prepare();
      await network.prepare();
      for (const { kind, id, data } of await store.committed()) {
        try {
          this.#committed.set({ kind, id, upload: await this.#uploads.read(kind, data) });
        } catch (error) {
          log.error({ err: error, id }, 'stored config can no longer be read');
        }
      }
      this.#start = await dataplane.start();
      this.#projection.expectDown(await readDown());
      await this.#projection.apply();
      await this.#changes.adopt();
    });
  }

  /** Validates, then stores; traffic does not change. Throws CONFIG_REJECTED with the line. */
  async putUpload(kind: ConfigKind, id: string, body: Uint8Array, amphoraId = ''): Promise<void> {
    const data = await this.#uploads.validate(kind, id, body);
    await this.#queue.run(() => this.#uploads.keep(kind, id, data, amphoraId));
  }

  /** Start, stop or reload of a load balancer or an LVS listener. Returns the `details` of the answer. */
  act(id: string, word: string): Promise<string> {
    const action = parseAction(word);
    return this.#queue.run(async () => {
      const kind = await this.#uploads.findKind(id);
      if (kind === null) throw notFound(id);
      const wasRunning = this.#committed.has(id);
      if (action === 'stop') await this.#changes.uncommit(kind, id);
      else await this.#commit(kind, id, action);
      return actionDetails(kind, id, action, wasRunning);
    });
  }

  /** Unknown ids are fine (contract P9). */
  remove(id: string): Promise<void> {
    return this.#queue.run(async () => {
      const kind = await this.#uploads.findKind(id);
      if (kind === null) return;
      await this.#changes.uncommit(kind, id);
      // UDP and SCTP listeners of the same load balancer may have members that HAProxy goes on checking.
      const isServing = kind === 'haproxy' && this.#committed.remainder(id).text !== null;
      await this.#parts.store.remove(kind, id, isServing);
    });
  }

  plugVip(plug: VipPlug): Promise<string> {
    return this.#queue.run(async () => {
      try {
        return await this.#parts.network.plugVip(plug, managesVips(this.#parts));
      } finally {
        await this.#projection.apply();
      }
    });
  }

  plugNetwork(plug: NetworkPlug): Promise<string> {
    return this.#queue.run(async () => {
      try {
        return await this.#parts.network.plugNetwork(plug, managesVips(this.#parts));
      } finally {
        await this.#projection.apply();
        await this.#parts.announcer.announce(plug.port.fixedIps.map(({ address }) => address));
      }
    });
  }

  /** Stores it; nothing is applied before the start. Throws CONFIG_REJECTED with the line. */
  async putVrrp(data: Uint8Array): Promise<void> {
    this.#uploads.validateVrrp(data);
    await this.#queue.run(() => this.#parts.keepalived.upload(data, this.#committed.duty()));
  }

  /** Returns the `details` of the answer. */
  actVrrp(action: string): Promise<string> {
    return this.#queue.run(() => this.#parts.keepalived.act(action));
  }

  putRules(rules: readonly FirewallRule[]): Promise<void> {
    return this.#queue.run(async () => {
      // First, of what the datapath leaves to the kernel: what nft refuses is in force nowhere.
      await this.#parts.network.putRules(rules);
      await this.#parts.store.saveRules(rules);
      await this.#projection.apply();
    });
  }

  /** For changes of files that need no more than their turn. */
  inTurn<Value>(change: () => Promise<Value>): Promise<Value> {
    return this.#queue.run(change);
  }

  /** Links, addresses or routes changed. */
  networkChanged(): Promise<void> {
    return this.#queue.run(async () => {
      await this.#parts.dhcp.follow();
      await this.#projection.apply();
      this.#parts.dataplane.bumpGeneration();
    });
  }

  /** Health of members changed. */
  setDown(down: ReadonlySet<string>): Promise<void> {
    return this.#queue.run(() => this.#projection.applyDown(down));
  }

  /** Sockets of the HAProxy processes that should run now. */
  statsSockets(): string[] {
    return this.#committed.statsSockets();
  }

  loadBalancerIds(): string[] {
    return this.#committed.loadBalancerIds();
  }

  snapshot(): Snapshot {
    const { wanted, report, mapWrites } = this.#projection;
    const committed = this.#committed.all();
    const listeners = this.#committed.listeners();
    return { committed, listeners, wanted, report, mapWrites, ...this.#start };
  }

  /** Everything uploaded, committed or not, as `GET listeners` lists it. */
  uploadedListeners(): Promise<Listener[]> {
    return this.#uploads.listeners();
  }

  async #commit(kind: ConfigKind, id: string, action: 'start' | 'reload'): Promise<void> {
    const data = await this.#parts.store.readUpload(kind, id);
    if (data === null) throw notFound(id);
    const upload = await this.#uploads.read(kind, data);
    await this.#changes.commit({ kind, id, upload }, data, action);
  }
}

const notFound = (id: string): AgentError =>
  new AgentError('OBJECT_NOT_FOUND', {
    message: 'Loadbalancer Not Found',
    details: `No loadbalancer with UUID: ${id}`,
  });
