// SPDX-License-Identifier: Apache-2.0
// The configs in force and what follows from them alone: listeners, HAProxy's part, keepalived's duty.
import type { AmphoraParts } from './amphora-parts.js';
import { loggedListeners } from './core/log/lvs-log.js';
import { isObjectId } from './core/model/ids.js';
import type { Listener } from './core/model/load-balancer.js';
import { renderRemainder } from './core/render/remainder.js';
import type { Upload } from './core/upload.js';
import { type Duty, dutyOf } from './core/vrrp/check-scripts.js';
import type { Remainder } from './shell/haproxy.js';
import type { ConfigKind } from './shell/store.js';

/** A config in force. */
export interface Committed {
  readonly kind: ConfigKind;
  readonly id: string;
  readonly upload: Upload;
}

/** Changed only from the amphora's queue. */
export class CommittedConfigs {
  readonly #parts: Pick<AmphoraParts, 'config' | 'store' | 'checks'>;
  readonly #byId = new Map<string, Committed>();
  readonly #missing = new Map<string, ReadonlySet<string>>();
  /** Rendered once per change: who looks after health asks for their sockets several times a second. */
  readonly #remainders = new Map<string, Remainder>();

  constructor(parts: Pick<AmphoraParts, 'config' | 'store' | 'checks'>) {
    this.#parts = parts;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  set(committed: Committed): void {
    this.#byId.set(committed.id, committed);
    this.#remainders.clear();
  }

  get(id: string): Committed | undefined {
    return this.#byId.get(id);
  }

  delete(id: string): void {
    this.#byId.delete(id);
    this.#missing.delete(id);
    this.#remainders.clear();
  }

  /** Certificate files of a load balancer that HAProxy must do without; empty for none. */
  setMissing(id: string, files: ReadonlySet<string>): void {
    if (files.size > 0) this.#missing.set(id, files);
    else this.#missing.delete(id);
    this.#remainders.clear();
  }

  missing(id: string): ReadonlySet<string> {
    return this.#missing.get(id) ?? new Set();
  }

  all(): Committed[] {
    return [...this.#byId.values()];
  }

  listeners(): Listener[] {
    const { userLogFacility: facility, xdp } = this.#parts.config();
    return loggedListeners(this.all(), { facility, logsDatagrams: xdp.logDatagramFlows });
  }

  datapathListeners(): Listener[] {
    return this.listeners().filter(({ engine }) => engine === 'datapath');
  }

  loadBalancerIds(): string[] {
    return [...new Set(this.all().map(loadBalancerOf))];
  }

  /** Sockets of the HAProxy processes that should run now. */
  statsSockets(): string[] {
    return this.loadBalancerIds()
      .map((id) => this.remainder(id))
      .flatMap(({ text, statsSocket }) => (text === null ? [] : [statsSocket]));
  }

  /** What is left of a load balancer for HAProxy: proxies of its listeners, checks of its members. */
  remainder(loadBalancerId: string): Remainder {
    const known = this.#remainders.get(loadBalancerId);
    if (known !== undefined) return known;
    const made = this.#render(loadBalancerId);
    this.#remainders.set(loadBalancerId, made);
    return made;
  }

  duty(): Duty {
    return dutyOf(this.all(), this.statsSockets(), this.#missing.size > 0);
  }

  #render(loadBalancerId: string): Remainder {
    const { store, checks, config } = this.#parts;
    const own = this.#byId.get(loadBalancerId);
    const upload = own?.kind === 'haproxy' ? own.upload : null;
    const lvsListeners = this.all()
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
      missingFiles: this.missing(loadBalancerId),
    });
    const statsSocket = upload?.statsSocket ?? store.statsSocket(loadBalancerId);
    return { loadBalancerId, text, statsSocket };
  }
}

const loadBalancerOf = ({ kind, id, upload }: Committed): string =>
  kind === 'lvs' && isObjectId(upload.loadBalancerId) ? upload.loadBalancerId : id;
