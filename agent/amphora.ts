// SPDX-License-Identifier: Apache-2.0
// The one stateful object: what is in force, and the one queue of changes to it. State on disk is the truth;
// the datapath's maps and HAProxy's config are projections of it.
import type { FastifyBaseLogger } from 'fastify';
import type {
  ApplyReport,
  Dataplane,
  DatapathInterface,
  WantedState,
} from './core/model/dataplane.js';
import type { Engine, IpAddress, Listener } from './core/model/load-balancer.js';
import { isName } from './core/model/ids.js';
import type { NetworkPlug, VipPlug } from './core/network/plug-body.js';
import { type FirewallRule, allowedSources } from './core/network/rules.js';
import { ConfigRejected } from './core/parse/config-rejected.js';
import type { CheckCommands } from './core/render/check-backends.js';
import { renderRemainder } from './core/render/remainder.js';
import { type Upload, readHaproxyUpload, readLvsUpload, withoutGroup } from './core/upload.js';
import { type Duty, dutyOf } from './core/vrrp/check-scripts.js';
import type { AgentConfig } from './config.js';
import { AgentError, textOf } from './errors.js';
import { ChangeQueue } from './queue.js';
import type { Announcer } from './shell/announcer.js';
import type { Haproxy, Remainder } from './shell/haproxy.js';
import type { Keepalived } from './shell/keepalived.js';
import { type MetricsService, wantsMetrics } from './shell/metrics-service.js';
import type { Neighbours } from './shell/neighbours.js';
import type { Network } from './shell/network.js';
import type { ConfigKind, Store } from './shell/store.js';

/** What the amphora works with; a test hands it recorders. */
export interface AmphoraParts {
  readonly config: () => AgentConfig;
  readonly store: Store;
  readonly dataplane: Dataplane;
  readonly network: Pick<Network, 'prepare' | 'plugVip' | 'plugNetwork' | 'interfaceOf'> & {
    /** Interfaces now, and whether one of them is an SR-IOV port. */
    readonly read: () => Promise<{
      readonly interfaces: readonly DatapathInterface[];
      readonly hasSriov: boolean;
    }>;
  };
  readonly haproxy: Pick<Haproxy, 'check' | 'bring' | 'adopt' | 'stop' | 'isRunning'>;
  readonly keepalived: Pick<Keepalived, 'upload' | 'act' | 'adopt' | 'refreshCheck'>;
  readonly metrics: Pick<MetricsService, 'follow'>;
  readonly announcer: Pick<Announcer, 'announce'>;
  readonly neighbours: Pick<Neighbours, 'keep'>;
  readonly checks: { readonly commands: CheckCommands; readonly canCheckSctp: boolean };
  readonly log: FastifyBaseLogger;
}

/** A config in force. */
export interface Committed {
  readonly kind: ConfigKind;
  readonly id: string;
  readonly upload: Upload;
}

export interface Snapshot {
  readonly committed: readonly Committed[];
  readonly wanted: WantedState;
  readonly report: ApplyReport | null;
  readonly adopted: boolean;
  readonly flowCapacity: number;
}

const ACTIONS = ['start', 'stop', 'reload'] as const;
export type Action = (typeof ACTIONS)[number];

export class Amphora {
  readonly #parts: AmphoraParts;
  readonly #queue = new ChangeQueue();
  readonly #committed = new Map<string, Committed>();
  #wanted: WantedState = { listeners: [], down: new Set(), interfaces: [], allowed: null };
  #report: ApplyReport | null = null;
  #start = { adopted: false, flowCapacity: 0 };

  constructor(parts: AmphoraParts) {
    this.#parts = parts;
  }

  /** Brings everything to what the disk says. The API may answer once this has returned (contract P2). */
  start(readDown: () => Promise<ReadonlySet<string>>): Promise<void> {
    return this.#queue.run(async () => {
      const { store, network, dataplane, log } = this.#parts;
      await store.prepare();
      await network.prepare();
      for (const { kind, id, data } of await store.committed()) {
        try {
          this.#committed.set(id, { kind, id, upload: await this.#read(kind, data) });
        } catch (error) {
          log.error({ err: error, id }, 'stored config can no longer be read');
        }
      }
      this.#start = await dataplane.start();
      // Before the first apply: an agent that restarts must not send clients to members that are down.
      this.#wanted = { ...this.#wanted, down: await readDown() };
      await this.#apply();
      for (const id of this.#loadBalancerIds()) {
        const outcome = await this.#parts.haproxy.adopt(this.#remainder(id)).catch(textOf);
        log.info({ loadBalancer: id, outcome }, 'HAProxy adopted');
      }
      await this.#parts.keepalived.adopt(this.#duty()).catch((error: unknown) => {
        log.error({ err: error }, 'keepalived not adopted');
      });
      await this.#followMetrics();
    });
  }

  /** Validates, then stores; traffic does not change. Throws CONFIG_REJECTED with the line. */
  async putUpload(kind: ConfigKind, id: string, body: Uint8Array, amphoraId = ''): Promise<void> {
    const refuse = (details: string, cause?: unknown): never => {
      throw new AgentError('CONFIG_REJECTED', { message: 'Invalid request', details }, { cause });
    };
    if (!isName(id)) refuse('the id cannot be a file name');
    const data = kind === 'haproxy' ? withoutGroup(body) : body;
    try {
      const upload = await this.#read(kind, data);
      if (kind === 'haproxy' && upload.statsSocket === null) refuse('no "stats socket" in global');
    } catch (error) {
      if (error instanceof ConfigRejected) refuse(error.message, error);
      throw error;
    }
    await this.#queue.run(async () => {
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
    });
  }

  /** Start, stop or reload of a load balancer or an LVS listener. Returns the `details` of the answer. */
  act(id: string, word: string): Promise<string> {
    const action = ACTIONS.find((one) => one === word.toLowerCase());
    if (action === undefined) {
      const details = `Unknown action: ${word.toLowerCase()}`;
      throw new AgentError('REQUEST_INVALID', { message: 'Invalid Request', details });
    }
    return this.#queue.run(async () => {
      const kind = await this.#kindOf(id);
      const wasRunning = this.#committed.has(id);
      if (action === 'stop') await this.#uncommit(kind, id);
      else await this.#commit(kind, id, action);
      return actionDetails(kind, id, action, wasRunning);
    });
  }

  /** Unknown ids are fine (contract P9). */
  remove(id: string): Promise<void> {
    return this.#queue.run(async () => {
      const { store } = this.#parts;
      for (const kind of ['haproxy', 'lvs'] as const) {
        if ((await store.readUpload(kind, id)) === null) continue;
        await this.#uncommit(kind, id);
        await store.remove(kind, id);
        return;
      }
    });
  }

  plugVip(plug: VipPlug): Promise<string> {
    return this.#queue.run(async () => {
      try {
        return await this.#parts.network.plugVip(plug, this.#managesVips());
      } finally {
        await this.#apply();
      }
    });
  }

  plugNetwork(plug: NetworkPlug): Promise<string> {
    return this.#queue.run(async () => {
      try {
        return await this.#parts.network.plugNetwork(plug, this.#managesVips());
      } finally {
        await this.#apply();
        await this.#parts.announcer.announce(plug.port.fixedIps.map(({ address }) => address));
      }
    });
  }

  putVrrp(data: Uint8Array): Promise<void> {
    return this.#queue.run(() => this.#parts.keepalived.upload(data, this.#duty()));
  }

  /** Returns the `details` of the answer. */
  actVrrp(action: string): Promise<string> {
    return this.#queue.run(() => this.#parts.keepalived.act(action));
  }

  putRules(rules: readonly FirewallRule[]): Promise<void> {
    return this.#queue.run(async () => {
      await this.#parts.store.saveRules(rules);
      await this.#apply();
    });
  }

  /** For changes of files that need no more than their turn. */
  inTurn<Value>(change: () => Promise<Value>): Promise<Value> {
    return this.#queue.run(change);
  }

  /** Links, addresses or routes changed. */
  networkChanged(): Promise<void> {
    return this.#queue.run(async () => {
      await this.#apply();
      this.#parts.dataplane.bumpGeneration();
    });
  }

  /** Health of members changed. */
  setDown(down: ReadonlySet<string>): Promise<void> {
    return this.#queue.run(async () => {
      this.#logHealth(down);
      this.#wanted = { ...this.#wanted, down };
      this.#report = await this.#parts.dataplane.apply(this.#wanted);
    });
  }

  /** Sockets of the HAProxy processes that should run now. */
  statsSockets(): string[] {
    return this.#loadBalancerIds()
      .map((id) => this.#remainder(id))
      .flatMap(({ text, statsSocket }) => (text === null ? [] : [statsSocket]));
  }

  loadBalancerIds(): string[] {
    return this.#loadBalancerIds();
  }

  snapshot(): Snapshot {
    return {
      committed: [...this.#committed.values()],
      wanted: this.#wanted,
      report: this.#report,
      ...this.#start,
    };
  }

  /** Everything uploaded, committed or not, as `GET listeners` lists it. */
  async uploadedListeners(): Promise<Listener[]> {
    const { store, log } = this.#parts;
    const found: Listener[] = [];
    for (const { kind, id } of await store.uploads()) {
      const data = await store.readUpload(kind, id);
      if (data === null) continue;
      try {
        found.push(...(await this.#read(kind, data)).listeners);
      } catch (error) {
        log.warn({ err: error, id }, 'stored upload can no longer be read');
      }
    }
    return found;
  }

  async #commit(kind: ConfigKind, id: string, action: 'start' | 'reload'): Promise<void> {
    const { store, log } = this.#parts;
    const data = await store.readUpload(kind, id);
    if (data === null) throw notFound(id);
    const upload = await this.#read(kind, data);
    await store.saveCommitted(kind, id, data); // first, so that a crash below replays it at start
    await this.#change(() => this.#committed.set(id, { kind, id, upload }), action);
    await this.#announce(upload.listeners);
    for (const listener of upload.listeners) {
      const { engine, reasons } = listener;
      log.debug({ listener: listener.id, engine, reasons }, 'engine chosen');
    }
    log.info({ id, kind, engines: countEngines(upload.listeners), ...this.#writes() }, 'committed');
  }

  async #uncommit(kind: ConfigKind, id: string): Promise<void> {
    await this.#parts.store.removeCommitted(kind, id);
    await this.#change(() => this.#committed.delete(id), 'reload');
    this.#parts.log.info({ id, kind }, 'out of force');
  }

  /**
   * Brings both engines to the new state so that each listener is always served: what moves to the datapath is
   * taken there before HAProxy lets go, and what moves to HAProxy stays in the datapath until that is ready.
   */
  async #change(change: () => void, action: 'start' | 'reload'): Promise<void> {
    const before = this.#datapathListeners();
    const loadBalancers = this.#loadBalancerIds();
    change();
    const moving = movingListeners(before, this.#datapathListeners(), this.#allListeners());
    await this.#apply(moving);
    try {
      for (const id of new Set([...loadBalancers, ...this.#loadBalancerIds()])) {
        await this.#parts.haproxy.bring(this.#remainder(id), action);
      }
    } finally {
      if (moving.length > 0) await this.#apply();
      await this.#parts.keepalived.refreshCheck(this.#duty(), this.#committed.size === 0);
      await this.#followMetrics();
    }
  }

  /** Without it a VIP that came from another amphora is unreachable until caches expire (contract P33). */
  async #announce(listeners: readonly Listener[]): Promise<void> {
    if (!this.#managesVips()) return; // keepalived does it
    const vips = listeners.flatMap((listener) => listener.vips.map(({ address }) => address));
    await this.#parts.announcer.announce(vips);
  }

  async #apply(extra: readonly Listener[] = []): Promise<void> {
    const { network, dataplane, store, neighbours, log } = this.#parts;
    const { interfaces, hasSriov } = await network.read();
    const rules = await store.readRules();
    this.#wanted = {
      ...this.#wanted,
      listeners: [...this.#datapathListeners(), ...extra],
      interfaces,
      // Before the first rules an SR-IOV port drops everything (contract P29).
      allowed: rules === null ? (hasSriov ? [] : null) : allowedSources(rules),
    };
    this.#report = await dataplane.apply(this.#wanted);
    await neighbours.keep(memberAddresses(this.#wanted.listeners)).catch((error: unknown) => {
      log.warn({ err: error }, 'neighbours not managed');
    });
  }

  async #read(kind: ConfigKind, data: Uint8Array): Promise<Upload> {
    const { basePath, baseCertDir } = this.#parts.config();
    const { interfaces } = await this.#parts.network.read();
    const addresses = interfaces.flatMap((one) => one.addresses.map(({ address }) => address));
    const options = { basePath, certDir: baseCertDir, localAddresses: new Set(addresses) };
    return kind === 'haproxy' ? readHaproxyUpload(data, options) : readLvsUpload(data, options);
  }

  async #kindOf(id: string): Promise<ConfigKind> {
    for (const kind of ['haproxy', 'lvs'] as const) {
      if ((await this.#parts.store.readUpload(kind, id)) !== null) return kind;
    }
    throw notFound(id);
  }

  #remainder(loadBalancerId: string): Remainder {
    const { store, checks, config } = this.#parts;
    const own = this.#committed.get(loadBalancerId);
    const upload = own?.kind === 'haproxy' ? own.upload : null;
    const lvsListeners = [...this.#committed.values()]
      .filter((one) => one.kind === 'lvs' && loadBalancerOf(one) === loadBalancerId)
      .flatMap((one) => one.upload.listeners)
      .filter(({ protocol }) => protocol !== 'SCTP' || checks.canCheckSctp);
    const text = renderRemainder({
      loadBalancerId,
      text: upload?.text ?? null,
      listeners: upload?.listeners ?? [],
      lvsListeners,
      commands: checks.commands,
      privilegedChecks: lvsListeners.some(({ protocol }) => protocol === 'SCTP'),
      basePath: config().basePath,
    });
    return {
      loadBalancerId,
      text,
      statsSocket: upload?.statsSocket ?? store.statsSocket(loadBalancerId),
    };
  }

  #followMetrics(): Promise<void> {
    const texts = [...this.#committed.values()].map(({ upload }) => upload.text);
    return this.#parts.metrics.follow(texts.some(wantsMetrics));
  }

  #duty(): Duty {
    return dutyOf([...this.#committed.values()], this.statsSockets());
  }

  #loadBalancerIds(): string[] {
    return [...new Set([...this.#committed.values()].map(loadBalancerOf))];
  }

  #allListeners(): Listener[] {
    return [...this.#committed.values()].flatMap(({ upload }) => upload.listeners);
  }

  #datapathListeners(): Listener[] {
    return this.#allListeners().filter(({ engine }) => engine === 'datapath');
  }

  /** In active/standby keepalived adds and removes the VIPs. */
  #managesVips(): boolean {
    return this.#parts.config().topology === 'SINGLE';
  }

  #logHealth(down: ReadonlySet<string>): void {
    const before = this.#wanted.down;
    const fell = [...down].filter((key) => !before.has(key));
    const rose = [...before].filter((key) => !down.has(key));
    this.#parts.log.info({ down: fell, up: rose }, 'health of members changed');
  }

  #writes(): { writes?: ApplyReport['writes'] } {
    return this.#report ? { writes: this.#report.writes } : {};
  }
}

const countEngines = (listeners: readonly Listener[]): Partial<Record<Engine, number>> => {
  const counts: Partial<Record<Engine, number>> = {};
  for (const { engine } of listeners) counts[engine] = (counts[engine] ?? 0) + 1;
  return counts;
};

const notFound = (id: string): AgentError =>
  new AgentError('OBJECT_NOT_FOUND', {
    message: 'Loadbalancer Not Found',
    details: `No loadbalancer with UUID: ${id}`,
  });

const loadBalancerOf = ({ kind, id, upload }: Committed): string =>
  kind === 'lvs' && isName(upload.loadBalancerId) ? upload.loadBalancerId : id;

/** Listeners that leave the datapath for HAProxy, as they were, unless another one takes their place. */
const movingListeners = (
  before: readonly Listener[],
  after: readonly Listener[],
  all: readonly Listener[],
): Listener[] => {
  const places = new Set(after.flatMap(({ vips }) => vips.map(placeOf)));
  const proxied = new Set(all.filter(({ engine }) => engine === 'haproxy').map(({ id }) => id));
  return before.filter(
    ({ id, vips }) => proxied.has(id) && !vips.some((vip) => places.has(placeOf(vip))),
  );
};

const placeOf = ({ address, port }: Listener['vips'][number]): string => `${address} ${port}`;

const memberAddresses = (listeners: readonly Listener[]): Set<IpAddress> =>
  new Set(
    listeners
      .flatMap(({ pools }) => pools.flatMap(({ members }) => members))
      .flatMap(({ address, enabled }) => (address !== null && enabled ? [address] : [])),
  );

/** The reference's sentences, with its spelling (contract P16). An LVS reload is a restart (P10). */
const actionDetails = (
  kind: ConfigKind,
  id: string,
  action: Action,
  wasRunning: boolean,
): string => {
  if (kind === 'lvs') {
    const words = { start: 'started', reload: 'restarted', stop: 'stoped' } as const;
    return `keepalivedlvs listener ${id} ${words[action]}`;
  }
  if (action === 'stop') return `Listener ${id} stoped`;
  return action === 'reload' && wasRunning
    ? `Listener ${id} reloaded`
    : `Configuration file is valid\nhaproxy daemon for ${id} started`;
};
