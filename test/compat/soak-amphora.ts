// SPDX-License-Identifier: Apache-2.0
// The amphora under test, with what a controller remembers of it and what its kernel objects were.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBed, type Bed } from '../support/bed.js';
import type { Answer } from '../support/controller.js';
import { Heartbeats } from '../support/heartbeats.js';
import type { Random } from '../support/random.js';
import { AMPHORA_ID } from '../support/tls.js';
import { until } from '../support/run.js';
import { certificateFiles } from './certificates.js';
import { agentOf, objectsOf, type KernelObjects } from './soak-leaks.js';
import type { Config } from './soak-state.js';
import { observe, type Observed, type Observers } from './soak-views.js';

const CONFIG = '/etc/octavia/amphora-agent.conf';

export class SoakAmphora {
  readonly bed: Bed;
  readonly heartbeats: Heartbeats;
  readonly #observers: Observers;
  /** Certificates and crt-lists that lie there: `<load balancer>/<file>` to content. */
  readonly #certificates = new Map<string, string>();
  readonly #maps = new Set<number>();
  readonly #inner = new Set<number>();
  readonly #programs = new Set<number>();

  private constructor(bed: Bed, heartbeats: Heartbeats, loadBalancerIds: readonly string[]) {
    this.bed = bed;
    this.heartbeats = heartbeats;
    this.#observers = { vm: bed.vm, controller: bed.controller, loadBalancerIds };
  }

  static async boot(loadBalancerIds: readonly string[], port: number): Promise<SoakAmphora> {
    const bed = await buildBed({
      hook: 'xdp',
      ports: [port],
      options: ['table_flows = 20000'],
    });
    const heartbeats = await Heartbeats.start(bed.world.management, [5555], ['insecure-test-key']);
    const text = readFileSync(bed.vm.path(CONFIG), 'utf8');
    const often = text.replace(/^heartbeat_interval = .*$/m, 'heartbeat_interval = 1');
    await bed.controller.must('PUT', '/1.0/config', often);
    const amphora = new SoakAmphora(bed, heartbeats, loadBalancerIds);
    amphora.#remember();
    return amphora;
  }

  async remove(): Promise<void> {
    await this.heartbeats.stop();
    await this.bed.remove();
  }

  /** Kernel objects that were the amphora's at any time. */
  get objects(): KernelObjects {
    return { maps: new Set([...this.#maps, ...this.#inner]), programs: this.#programs };
  }

  /** Tables of pools that were in force at any time. */
  get tables(): KernelObjects {
    return { maps: this.#inner, programs: new Set() };
  }

  #remember(): void {
    const { maps, programs } = objectsOf(this.bed.vm, agentOf(this.bed.vm));
    for (const id of maps) this.#maps.add(id);
    for (const id of programs) this.#programs.add(id);
  }

  async observe(): Promise<Observed> {
    const seen = await observe(this.#observers);
    for (const id of seen.innerIds) this.#inner.add(id);
    return seen;
  }

  get loadBalancerIds(): readonly string[] {
    return this.#observers.loadBalancerIds;
  }

  async text(kind: Config['kind'], id: string): Promise<string | null> {
    const path =
      kind === 'haproxy' ? `/1.0/loadbalancer/${id}/haproxy` : `/1.0/listeners/${id}/udp_listener`;
    const { status, body } = await this.bed.controller.call('GET', path);
    return status === 404 ? null : body;
  }

  upload({ kind, id, text }: Pick<Config, 'kind' | 'id' | 'text'>): Promise<Answer> {
    const path =
      kind === 'haproxy'
        ? `/1.0/loadbalancer/${AMPHORA_ID}/${id}/haproxy`
        : `/1.0/listeners/${AMPHORA_ID}/${id}/udp_listener`;
    return this.bed.controller.call('PUT', path, text);
  }

  /** Certificates first, as the controller does: only those that are new or other than before. */
  async uploadCertificates({ kind, model }: Config): Promise<void> {
    if (kind !== 'haproxy') return;
    for (const [file, content] of certificateFiles(model)) {
      const name = `${model.id}/${file}`;
      if (this.#certificates.get(name) === content) continue;
      const path = `/1.0/loadbalancer/${model.id}/certificates/${file}`;
      await this.bed.controller.must('PUT', path, content);
      this.#certificates.set(name, content);
    }
  }

  act(id: string, action: string): Promise<Answer> {
    return this.bed.controller.call('PUT', `/1.0/loadbalancer/${id}/${action}`);
  }

  async delete(id: string): Promise<Answer> {
    // The load balancer's certificates go with it.
    for (const name of [...this.#certificates.keys()]) {
      if (name.startsWith(`${id}/`)) this.#certificates.delete(name);
    }
    return this.bed.controller.call('DELETE', `/1.0/listeners/${id}`);
  }

  /** Ends the agent and starts another. `during`: a request that is under way, and may get no answer. */
  async restart(
    signal: 'SIGTERM' | 'SIGKILL',
    during?: { request: () => Promise<unknown>; random: Random },
  ): Promise<void> {
    const pending = during?.request().catch(() => undefined);
    if (during) await sleep(during.random.integer(0, 150));
    await this.bed.vm.killAgent(signal);
    await pending;
    this.bed.vm.startAgent();
    await this.bed.controller.waitForAgent();
    this.#remember();
  }

  /** The next heartbeat that was put together after now. */
  async nextHeartbeat() {
    const { message } = await this.heartbeats.next('a heartbeat', () => true);
    return message;
  }

  /** Asks until the answer is as wanted, or gives back the last one after a while. */
  async observeUntil(
    isWanted: (seen: Observed) => boolean,
    timeoutMs: number,
  ): Promise<Observed | null> {
    let last: Observed | null = null;
    await until(
      'the state',
      async () => {
        // A table may be swapped, a worker replaced while it is read.
        last = await this.observe().catch(() => last);
        return last !== null && isWanted(last);
      },
      timeoutMs,
    ).catch(() => undefined);
    return last;
  }
}
