// SPDX-License-Identifier: Apache-2.0
// HAProxy: one process per load balancer, with what the datapath left it to do.
import { createHash } from 'node:crypto';
import { access, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { capConnections } from '../core/render/connection-cap.js';
import { renderHaproxyUnit } from '../core/units/haproxy-unit.js';
import { AgentError, textOf } from '../errors.js';
import { readIfPresent, removePath, writeFileAtomic } from './files.js';
import { askHaproxy, infoField } from './haproxy-socket.js';
import { CommandFailed, run } from './run.js';
import type { Service, Services } from './services.js';
import type { Store } from './store.js';

export interface HaproxyOptions {
  readonly program: string;
  readonly userGroupFile: string;
  readonly amphoraId: string;
  readonly namespace: string;
  readonly baseCertDir: string;
  readonly store: Store;
  readonly services: Services;
  readonly log: FastifyBaseLogger;
}

/** What a load balancer leaves to HAProxy. */
export interface Remainder {
  readonly loadBalancerId: string;
  /** Null: nothing, HAProxy need not run. */
  readonly text: string | null;
  readonly statsSocket: string;
}

export type Outcome = 'started' | 'reloaded' | 'unchanged' | 'stopped' | 'idle';

const READY_TIMEOUT_MS = 10_000;
const TELL_AGAIN_MS = 2000;

export class Haproxy {
  readonly #options: HaproxyOptions;

  constructor(options: HaproxyOptions) {
    this.#options = options;
  }

  /** Throws CONFIG_REJECTED with HAProxy's own words when it would not run this file. */
  async check(file: string, amphoraId: string): Promise<void> {
    const args = ['-c', '-L', peerName(amphoraId), ...(await this.#files(file))];
    try {
      await run(this.#options.program, args);
    } catch (error) {
      if (!(error instanceof CommandFailed) || error.exitCode === null) throw error;
      const body = { message: 'Invalid request', details: error.output.trim() };
      throw new AgentError('CONFIG_REJECTED', body, { cause: error });
    }
  }

  /**
   * Makes HAProxy run what is left. It is not disturbed where neither its config nor a certificate can have
   * changed. `asked`: the request is about this load balancer, so that certificates may have come before it.
   * Returns when the new worker answers; throws SERVICE_FAILED.
   */
  async bring(remainder: Remainder, action: 'start' | 'reload', asked: boolean): Promise<Outcome> {
    try {
      return await this.#bring(await this.#affordable(remainder), asked);
    } catch (error) {
      const details = detailsOf(error);
      const message = `Error ${action}ing haproxy`;
      throw new AgentError('SERVICE_FAILED', { message, details }, { cause: error });
    }
  }

  /** Takes over what an earlier agent left running; starts or stops it where that is not what is wanted. */
  async adopt(asked: Remainder): Promise<Outcome> {
    const remainder = await this.#affordable(asked);
    const service = await this.#service(remainder.loadBalancerId);
    const isRunning = await this.#options.services.adopt(service);
    if (isRunning && (await this.#isServed(remainder))) return 'unchanged';
    return this.#bring(remainder, true);
  }

  /** True while a HAProxy runs exactly this. */
  async runs(remainder: Remainder): Promise<boolean> {
    if (!(await this.isRunning(remainder.loadBalancerId))) return false;
    return this.#isServed(await this.#affordable(remainder));
  }

  /** Throws SERVICE_FAILED. */
  async stop(loadBalancerId: string): Promise<void> {
    try {
      await this.#options.services.stop(await this.#service(loadBalancerId));
      await this.#options.store.removeRuntime(loadBalancerId);
    } catch (error) {
      const body = { message: 'Error stopping haproxy', details: textOf(error) };
      throw new AgentError('SERVICE_FAILED', body, { cause: error });
    }
  }

  async isRunning(loadBalancerId: string): Promise<boolean> {
    return this.#options.services.isRunning(await this.#service(loadBalancerId));
  }

  async #bring(remainder: Remainder, asked: boolean): Promise<Outcome> {
    const { services, log } = this.#options;
    const { loadBalancerId, text, statsSocket } = remainder;
    const service = await this.#service(loadBalancerId);
    const isRunning = await services.isRunning(service);
    if (text === null) {
      if (!isRunning) return 'idle';
      await this.stop(loadBalancerId);
      log.info({ loadBalancer: loadBalancerId }, 'nothing left for HAProxy, stopped');
      return 'stopped';
    }
    const file = this.#file(remainder);
    const isSame = await this.#isServed(remainder);
    const mayHaveNewFiles = asked && text.includes(this.#options.baseCertDir);
    if (isRunning && isSame && !mayHaveNewFiles) return 'unchanged';
    await this.#writeChecked(file, text);
    await this.#saveServersState(loadBalancerId, statsSocket);
    const before = await workerOf(statsSocket);
    // One that only checks members of UDP and SCTP has no upload that would have made it.
    await mkdir(dirname(service.pidFile), { recursive: true });
    await (isRunning ? services.reload(service) : services.start(service));
    await this.#awaitWorker(service, { statsSocket, before, isReload: isRunning });
    await removePath(markOf(file));
    log.info({ loadBalancer: loadBalancerId, reloaded: isRunning }, 'HAProxy runs its remainder');
    return isRunning ? 'reloaded' : 'started';
  }

  /** The file in place is always one that HAProxy accepts: it may start by itself after a reboot. */
  async #writeChecked(file: string, text: string): Promise<void> {
    const candidate = `${file}.new`;
    await writeFileAtomic(candidate, text, 0o600);
    await this.check(candidate, this.#options.amphoraId);
    await writeFileAtomic(markOf(file), '', 0o600);
    await writeFileAtomic(file, text, 0o600);
    await removePath(candidate);
  }

  /** True when the file holds the text and a worker has read it: a crash may come between the two. */
  async #isServed(remainder: Remainder): Promise<boolean> {
    const file = this.#file(remainder);
    const text = (await readIfPresent(file))?.toString();
    return text === remainder.text && (await readIfPresent(markOf(file))) === null;
  }

  /** Best effort: without it members are up until a check fails (contract P43). */
  async #saveServersState(loadBalancerId: string, statsSocket: string): Promise<void> {
    try {
      const state = await askHaproxy(statsSocket, 'show servers state');
      const file = join(this.#options.store.directory(loadBalancerId), 'servers-state');
      await writeFileAtomic(file, state, 0o644);
    } catch (error) {
      this.#options.log.debug({ err: error }, 'server states not saved');
    }
  }

  /**
   * A reload is done when another worker answers. HAProxy's master loses a signal that comes while it still
   * executes itself for the last one, so it is told again.
   */
  async #awaitWorker(
    service: Service,
    {
      statsSocket,
      before,
      isReload,
    }: { statsSocket: string; before: string | null; isReload: boolean },
  ): Promise<void> {
    const { services } = this.#options;
    const begin = Date.now();
    for (let told = begin; ;) {
      const worker = await workerOf(statsSocket);
      if (worker !== null && worker !== before) return;
      const isRunning = await services.isRunning(service);
      if (!isRunning || Date.now() - begin > READY_TIMEOUT_MS) {
        throw new Error(`HAProxy does not come up: ${await services.lastWords(service)}`);
      }
      if (isReload && Date.now() - told > TELL_AGAIN_MS) {
        await services.reload(service);
        told = Date.now();
      }
      await sleep(20);
    }
  }

  #file({ loadBalancerId }: Remainder): string {
    return this.#options.store.remainderFile(loadBalancerId);
  }

  async #files(file: string): Promise<string[]> {
    const { userGroupFile } = this.#options;
    const isThere = await access(userGroupFile).then(
      () => true,
      () => false,
    );
    return ['-f', file, ...(isThere ? ['-f', userGroupFile] : [])];
  }

  async #affordable(remainder: Remainder): Promise<Remainder> {
    if (remainder.text === null) return remainder;
    const files = await this.#options.services.fileLimit();
    return { ...remainder, text: capConnections(remainder.text, files) };
  }

  async #service(loadBalancerId: string): Promise<Service> {
    const { program, namespace, amphoraId, store } = this.#options;
    const pidFile = join(store.directory(loadBalancerId), `${loadBalancerId}.pid`);
    const files = await this.#files(store.remainderFile(loadBalancerId));
    const peer = peerName(amphoraId);
    const configFiles = files.filter((word) => word !== '-f');
    return {
      name: `haproxy-${loadBalancerId}`,
      program,
      args: [...files, '-p', pidFile, '-L', peer],
      foregroundArgs: ['-W', '-db'],
      pidFile,
      reloadSignal: 'SIGUSR2',
      unit: renderHaproxyUnit({ program, configFiles, pidFile, peer, namespace }),
    };
  }
}

/** Stands beside a config that no worker has read yet. */
const markOf = (file: string): string => `${file}.reloading`;

/** HAProxy's name for this amphora in a peers section: not base64url, but its reverse (contract 1.5, 8). */
export const peerName = (amphoraId: string): string =>
  createHash('sha1')
    .update(amphoraId)
    .digest('base64')
    .replaceAll('+', '_')
    .replaceAll('/', '-')
    .replaceAll('=', '')
    .replace(/^-/, 'x');

/** What a person needs to know of why HAProxy does not run. */
const detailsOf = (error: unknown): string => {
  if (error instanceof CommandFailed) return error.output;
  const isOurs = error instanceof AgentError && 'details' in error.body;
  return isOurs ? (error.body.details ?? '') : textOf(error);
};

const workerOf = async (statsSocket: string): Promise<string | null> => {
  try {
    return infoField(await askHaproxy(statsSocket, 'show info', 1000), 'Pid');
  } catch {
    return null;
  }
};
