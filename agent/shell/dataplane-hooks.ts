// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces: XDP by a pinned link, tc by a filter of ours; nobody else's are touched.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type HookPlan, planHook } from '../core/plan/hook.js';
import type { ApplyReport, DatapathInterface } from '../core/model/dataplane.js';
import { addon, type BpfLink } from '../../native/index.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneLogger } from './dataplane-options.js';

/** Place of our filter among those on clsact ingress. */
const TC_PLACE = { priority: 1, handle: 0xa3 } as const;
const FRAGS_SUFFIX = '_frags';

interface Attached {
  readonly interface: DatapathInterface;
  readonly hook: 'xdp' | 'tc';
  readonly frags: boolean;
  readonly reason: string;
  readonly link: BpfLink | null;
  readonly pin: string | null;
}

type HookReport = ApplyReport['hooks'][number];

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message.split('\n', 1).join('') : String(error);

const isSame = (a: DatapathInterface, b: DatapathInterface): boolean =>
  a.name === b.name && a.driver === b.driver && a.mtu === b.mtu && a.hook === b.hook;

export class DataplaneHooks {
  readonly #maps: DataplaneMaps;
  readonly #netns: string | null;
  readonly #directory: string;
  readonly #logger: DataplaneLogger;
  readonly #attached = new Map<number, Attached>();
  /** Links of an earlier agent that already run our programs, until apply() claims them. */
  readonly #adopted = new Map<number, { link: BpfLink; pin: string; frags: boolean }>();

  constructor(
    maps: DataplaneMaps,
    options: { netns: string | null; pinDirectory: string; logger: DataplaneLogger },
  ) {
    this.#maps = maps;
    this.#netns = options.netns;
    this.#logger = options.logger;
    this.#directory = join(options.pinDirectory, 'links');
  }

  /** Puts our programs behind the pinned links, in one step each: no packet meets an interface without one. */
  adopt(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#directory)) this.#adoptLink(name);
    const links = this.#adopted.size;
    if (links > 0) this.#logger.info({ links }, 'programs replaced behind pinned links');
  }

  /** Loading takes long: what adopt() and apply() will need, before they do. A refusal is theirs to report. */
  load(interfaces: readonly DatapathInterface[]): void {
    for (const item of interfaces) {
      const { hook, frags } = planHook(item);
      try {
        this.#maps.programFd(hook === 'tc' ? hook : frags ? 'xdp-frags' : 'xdp');
      } catch (error) {
        this.#logger.debug({ interface: item.name, error: messageOf(error) }, 'not loaded yet');
      }
    }
  }

  #adoptLink(name: string): void {
    const pin = join(this.#directory, name);
    const frags = name.endsWith(FRAGS_SUFFIX);
    const ifindex = Number.parseInt(name, 10);
    const link = addon.openPinnedLink(pin);
    // An interface that is gone leaves 0 here; another one may have its number by now.
    if (link.ifindex !== ifindex) {
      this.#logger.info({ ifindex }, 'link of a vanished interface removed');
      this.#drop(link, pin);
      return;
    }
    try {
      link.update(this.#maps.programFd(frags ? 'xdp-frags' : 'xdp'));
      this.#adopted.set(ifindex, { link, pin, frags });
    } catch (error) {
      this.#logger.warn({ ifindex, error: messageOf(error) }, 'link not adopted, attached anew');
      this.#drop(link, pin);
    }
  }

  #drop(link: BpfLink, pin: string): void {
    link.close();
    rmSync(pin, { force: true });
  }

  /**
   * Attaches, moves and detaches so that exactly `interfaces` are served. An interface that vanishes meanwhile is
   * skipped. When one refuses the hook that was asked for, the others are served and then its error is thrown.
   */
  apply(interfaces: readonly DatapathInterface[]): HookReport[] {
    this.#letGo(new Set(interfaces.map(({ ifindex }) => ifindex)));
    const report: HookReport[] = [];
    let refusal: Error | null = null;
    for (const item of interfaces)
      try {
        const attached = this.#serve(item);
        if (attached === null) continue;
        report.push({ interface: item.name, hook: attached.hook, reason: attached.reason });
      } catch (error) {
        const message = `${item.name} cannot be served by ${item.hook}: ${messageOf(error)}`;
        this.#logger.error({ interface: item.name, error }, 'interface not served');
        refusal ??= new Error(message, { cause: error });
      }
    if (refusal !== null) throw refusal;
    return report;
  }

  #letGo(wanted: ReadonlySet<number>): void {
    for (const [ifindex, attached] of this.#attached)
      if (!wanted.has(ifindex)) this.#detach(attached);
    for (const [ifindex, { link, pin }] of this.#adopted)
      if (!wanted.has(ifindex)) {
        this.#adopted.delete(ifindex);
        this.#drop(link, pin);
      }
  }

  #serve(wanted: DatapathInterface): Attached | null {
    const before = this.#attached.get(wanted.ifindex);
    if (before !== undefined) {
      const replugged = before.link !== null && before.link.ifindex !== wanted.ifindex;
      if (!replugged && isSame(before.interface, wanted)) return before;
      if (replugged) this.#detach(before);
    }
    const plan = planHook(wanted);
    const attached = this.#attach(wanted, plan);
    if (attached === null) return null;
    this.#attached.set(wanted.ifindex, attached);
    const { name, ifindex } = wanted;
    const { hook, reason } = attached;
    this.#logger.info({ interface: name, ifindex, hook, reason }, 'interface served');
    return attached;
  }

  #attach(wanted: DatapathInterface, plan: HookPlan): Attached | null {
    if (plan.hook === 'tc') return this.#attachTc(wanted, plan.reason);
    try {
      return this.#attachXdp(wanted, plan);
    } catch (error) {
      if (!this.#exists(wanted)) return null;
      if (!plan.fallback) throw error;
      return this.#attachTc(wanted, `${plan.reason}; refused (${messageOf(error)}), so tc`);
    }
  }

  #exists({ name, ifindex }: DatapathInterface): boolean {
    return addon.ifindexByName(name, this.#netns) === ifindex;
  }

  #attachXdp(wanted: DatapathInterface, plan: HookPlan): Attached {
    const { ifindex } = wanted;
    const { frags, reason } = plan;
    const pin = join(this.#directory, `${ifindex}${frags ? FRAGS_SUFFIX : ''}`);
    const base = { interface: wanted, hook: 'xdp', frags, reason } as const;
    const present = this.#adopted.get(ifindex) ?? this.#attached.get(ifindex);
    this.#adopted.delete(ifindex);
    if (present?.link != null && present.pin !== null)
      if (present.pin === pin || this.#changeVariant(present.link, present.pin, pin, frags))
        return { ...base, link: present.link, pin };
    const programFd = this.#maps.programFd(frags ? 'xdp-frags' : 'xdp');
    const link = addon.attachXdp({ programFd, ifindex, netns: this.#netns, mode: 'native' });
    rmSync(pin, { force: true });
    link.pin(pin);
    this.#detachTc(wanted);
    return { ...base, link, pin };
  }

  /** An MTU that needs the other variant: in place if the driver lets us, so that no packet is missed. */
  #changeVariant(link: BpfLink, from: string, to: string, frags: boolean): boolean {
    try {
      link.update(this.#maps.programFd(frags ? 'xdp-frags' : 'xdp'));
      rmSync(to, { force: true });
      link.pin(to);
      rmSync(from, { force: true });
      return true;
    } catch (error) {
      this.#logger.warn(
        { pin: from, error: messageOf(error) },
        'program cannot be changed in place',
      );
      this.#drop(link, from);
      return false;
    }
  }

  #attachTc(wanted: DatapathInterface, reason: string): Attached | null {
    const { ifindex } = wanted;
    const programFd = this.#maps.programFd('tc');
    try {
      addon.attachTc({ programFd, ifindex, netns: this.#netns, ...TC_PLACE });
    } catch (error) {
      if (!this.#exists(wanted)) return null;
      throw error;
    }
    const xdp = this.#adopted.get(ifindex) ?? this.#attached.get(ifindex);
    this.#adopted.delete(ifindex);
    if (xdp?.link != null && xdp.pin !== null) this.#drop(xdp.link, xdp.pin);
    return { interface: wanted, hook: 'tc', frags: false, reason, link: null, pin: null };
  }

  /** Absent filter or interface: nothing to do. */
  #detachTc({ ifindex }: DatapathInterface): void {
    try {
      addon.detachTc({ ifindex, netns: this.#netns, ...TC_PLACE });
    } catch (error) {
      this.#logger.debug({ ifindex, error: messageOf(error) }, 'no tc filter to detach');
    }
  }

  #detach({ interface: gone, hook, link, pin }: Attached): void {
    this.#attached.delete(gone.ifindex);
    if (link !== null && pin !== null) this.#drop(link, pin);
    if (hook === 'tc' && this.#exists(gone)) this.#detachTc(gone);
    this.#logger.info({ interface: gone.name, ifindex: gone.ifindex }, 'interface let go');
  }

  /** Detaches everything, also what an earlier agent attached. */
  remove(): void {
    for (const attached of [...this.#attached.values()]) this.#detach(attached);
    for (const { link, pin } of this.#adopted.values()) this.#drop(link, pin);
    this.#adopted.clear();
    if (existsSync(this.#directory)) rmSync(this.#directory, { recursive: true });
  }

  close(): void {
    for (const { link } of this.#attached.values()) link?.close();
    for (const { link } of this.#adopted.values()) link.close();
  }
}
