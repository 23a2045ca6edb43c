// SPDX-License-Identifier: Apache-2.0
// Keeps daemons running where there is no init system. They outlive the agent: each has its own session and
// its output in a file, and the next agent finds it by its PID file.
import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { type FileLimit, readFileLimit } from './file-limit.js';
import { readIfPresent, removePath, writeFileAtomic } from './files.js';
import type { Service, Services } from './services.js';

export interface SupervisorOptions {
  readonly netns: string;
  readonly logDirectory: string;
  readonly log: FastifyBaseLogger;
}

interface Charge {
  readonly service: Service;
  timer: NodeJS.Timeout | null;
  backoffMs: number;
  startedAt: number;
}

const WATCH_MS = 500;
const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 10_000;
/** Having run this long, a daemon is healthy and its next death is restarted at once. */
const HEALTHY_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;
const START_TIMEOUT_MS = 5000;
const LAST_WORDS = 4000;

export class Supervisor implements Services {
  readonly isInitSystem = false;
  readonly #options: SupervisorOptions;
  readonly #charges = new Map<string, Charge>();
  readonly #pids = new Map<string, number>();
  #fileLimit: Promise<FileLimit> | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  async isRunning(service: Service): Promise<boolean> {
    return (await this.#livePid(service)) !== null;
  }

  async start(service: Service): Promise<void> {
    this.#forget(service.name);
    if ((await this.#livePid(service)) === null) {
      await this.#spawn(service);
      if (service.guardsPidFile) await this.#awaitPidFile(service);
    }
    this.#watch(service);
  }

  async reload(service: Service): Promise<void> {
    const pid = await this.#livePid(service);
    if (pid === null) throw new Error(`${service.name} is not running`);
    process.kill(pid, service.reloadSignal);
  }

  /** There is no boot: the agent that starts brings everything back. */
  enable(): Promise<void> {
    return Promise.resolve();
  }

  halt(service: Service): Promise<void> {
    return this.stop(service);
  }

  async stop(service: Service): Promise<void> {
    this.#forget(service.name);
    const pid = await this.#livePid(service);
    if (pid === null) return;
    process.kill(pid, 'SIGTERM');
    const end = Date.now() + STOP_TIMEOUT_MS;
    while ((await this.#livePid(service)) !== null) {
      if (Date.now() > end) process.kill(-pid, 'SIGKILL');
      await sleep(20);
    }
    await removePath(service.pidFile);
    await removePath(this.#logFile(service)); // or each load balancer that ever was would leave one
  }

  async adopt(service: Service): Promise<boolean> {
    const isRunning = await this.isRunning(service);
    if (isRunning) this.#watch(service);
    return isRunning;
  }

  async lastWords(service: Service): Promise<string> {
    const output = await readIfPresent(this.#logFile(service));
    return output?.toString().slice(-LAST_WORDS).trim() ?? '';
  }

  async fileLimit(): Promise<number> {
    return (await this.#readFileLimit()).files;
  }

  release(): void {
    for (const name of [...this.#charges.keys()]) this.#forget(name);
  }

  #logFile(service: Service): string {
    return join(this.#options.logDirectory, `${service.name}.log`);
  }

  #readFileLimit(): Promise<FileLimit> {
    return (this.#fileLimit ??= readFileLimit());
  }

  /** HAProxy removes and empties its PID file while it starts and reloads, so the file is for adoption only. */
  async #livePid(service: Service): Promise<number | null> {
    const pid = this.#pids.get(service.name) ?? (await readPid(service.pidFile));
    if (pid === null || !(await isDaemon(pid, service))) {
      this.#pids.delete(service.name);
      return null;
    }
    this.#pids.set(service.name, pid);
    return pid;
  }

  async #spawn(service: Service): Promise<void> {
    const { netns, logDirectory, log } = this.#options;
    await mkdir(logDirectory, { recursive: true });
    if (service.guardsPidFile) await removePath(service.pidFile); // its number may be another's by now
    const output = openSync(this.#logFile(service), 'w', 0o600);
    try {
      const { prefix } = await this.#readFileLimit();
      const words = [...prefix, service.program, ...service.foregroundArgs, ...service.args];
      const child = spawn('nsenter', [`--net=${netns}`, '--', ...words], {
        detached: true, // its own session: it must not die with the agent
        stdio: ['ignore', output, output],
      });
      child.on('error', (error) => {
        log.error({ err: error, service: service.name }, 'service could not be started');
      });
      child.unref();
      // nsenter becomes the daemon, so the number is right before the daemon has written it.
      if (child.pid !== undefined) {
        this.#pids.set(service.name, child.pid);
        if (!service.guardsPidFile) await writeFileAtomic(service.pidFile, `${child.pid}\n`);
      }
    } finally {
      closeSync(output);
    }
  }

  /**
   * Until it has written its number. One that ends first is started again like one that ends later, as systemd
   * would: keepalived ends where its config names an interface that is not there yet (contract P32).
   */
  async #awaitPidFile(service: Service): Promise<void> {
    const end = Date.now() + START_TIMEOUT_MS;
    while ((await readPid(service.pidFile)) === null) {
      if ((await this.#livePid(service)) === null || Date.now() > end) {
        const said = await this.lastWords(service);
        this.#options.log.error({ service: service.name, said }, 'service does not start');
        return;
      }
      await sleep(20);
    }
  }

  #watch(service: Service): void {
    const charge: Charge = {
      service,
      timer: null,
      backoffMs: FIRST_BACKOFF_MS,
      startedAt: Date.now(),
    };
    this.#charges.set(service.name, charge);
    this.#schedule(charge, WATCH_MS);
  }

  #schedule(charge: Charge, delayMs: number): void {
    charge.timer = setTimeout(() => {
      void this.#check(charge).catch((error: unknown) => {
        this.#options.log.error(
          { err: error, service: charge.service.name },
          'service not checked',
        );
        if (this.#isCharge(charge)) this.#schedule(charge, MAX_BACKOFF_MS);
      });
    }, delayMs);
    charge.timer.unref();
  }

  async #check(charge: Charge): Promise<void> {
    const { service } = charge;
    const isAlive = (await this.#livePid(service)) !== null;
    if (!this.#isCharge(charge)) return; // stopped meanwhile
    if (isAlive) {
      this.#schedule(charge, WATCH_MS);
      return;
    }
    if (Date.now() - charge.startedAt > HEALTHY_MS) charge.backoffMs = FIRST_BACKOFF_MS;
    this.#options.log.warn({ service: service.name }, 'service died, starting it again');
    charge.startedAt = Date.now();
    await this.#spawn(service);
    if (!this.#isCharge(charge)) return;
    charge.backoffMs = Math.min(charge.backoffMs * 2, MAX_BACKOFF_MS);
    this.#schedule(charge, charge.backoffMs);
  }

  #isCharge(charge: Charge): boolean {
    return this.#charges.get(charge.service.name) === charge;
  }

  #forget(name: string): void {
    const charge = this.#charges.get(name);
    if (charge?.timer) clearTimeout(charge.timer);
    this.#charges.delete(name);
  }
}

/** The process lives and is this daemon: numbers are used again. */
const isDaemon = async (pid: number, service: Service): Promise<boolean> => {
  try {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    const state = /^State:\s+(\w)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
    // Empty for a moment while HAProxy's master executes itself for a reload.
    const isOurs = command === '' || command.split('\0').includes(service.pidFile);
    return isOurs && state !== 'Z';
  } catch {
    return false;
  }
};

const readPid = async (file: string): Promise<number | null> => {
  const pid = Number((await readIfPresent(file))?.toString().trim() ?? '');
  return Number.isInteger(pid) && pid > 1 ? pid : null;
};
