// SPDX-License-Identifier: Apache-2.0
// keepalived decides who holds the VIPs, by the controller's own config (contract 5.6).
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { renderKeepalivedUnit } from '../core/units/keepalived-unit.js';
import {
  type CheckCommands,
  type Duty,
  checkScripts,
  knewListeners,
  renderCheckScript,
} from '../core/vrrp/check-scripts.js';
import { AgentError, textOf } from '../errors.js';
import { readIfPresent, removePath, writeFileAtomic } from './files.js';
import { CommandFailed } from './run.js';
import type { Service, Services } from './services.js';

export interface KeepalivedOptions {
  readonly program: string;
  readonly basePath: string;
  /** Exists while keepalived is stopped by request; must not survive a boot, which starts it (systemd's way). */
  readonly stoppedMark: string;
  /** Name of the network namespace. */
  readonly namespace: string;
  readonly logFacility: () => number;
  readonly commands: CheckCommands;
  readonly services: Services;
  readonly log: FastifyBaseLogger;
}

const ACTIONS = ['start', 'stop', 'reload'] as const;
type Action = (typeof ACTIONS)[number];

/** Files below `<base_path>/vrrp`, the unit, and the process. Not serialised: the amphora's queue is. */
export class Keepalived {
  readonly #options: KeepalivedOptions;

  constructor(options: KeepalivedOptions) {
    this.#options = options;
  }

  /** Stores the config as it came; nothing is applied before the start. Throws SERVICE_FAILED. */
  async upload(config: Uint8Array, duty: Duty): Promise<void> {
    await this.#writeCheckScripts(duty, false);
    await writeFileAtomic(this.#configFile, config, 0o644);
    try {
      await this.#options.services.enable(this.#service());
    } catch (error) {
      const message = 'Error enabling octavia-keepalived service';
      throw new AgentError('SERVICE_FAILED', { message, details: outputOf(error) });
    }
  }

  /**
   * Start, stop or reload; a start while it runs is a reload (contract P10). Returns the `details` of the answer.
   * Throws REQUEST_INVALID and SERVICE_FAILED.
   */
  async act(word: string): Promise<string> {
    const name = word.toLowerCase();
    const asked = ACTIONS.find((one) => one === name);
    if (asked === undefined) {
      const details = `Unknown action: ${name}`;
      throw new AgentError('REQUEST_INVALID', { message: 'Invalid Request', details });
    }
    const { services } = this.#options;
    const service = this.#service();
    let action: Action = asked;
    const { stoppedMark } = this.#options;
    try {
      if (asked === 'start' && (await services.isRunning(service))) action = 'reload';
      // First, so that an agent that dies here does not undo what it was asked for.
      await (action === 'stop' ? writeFileAtomic(stoppedMark, '') : removePath(stoppedMark));
      await (action === 'stop' ? services.halt(service) : services[action](service));
    } catch (error) {
      const message = `Failed to ${action} octavia-keepalived service`;
      throw new AgentError('SERVICE_FAILED', { message, details: outputOf(error) });
    }
    // With the reference's spelling (contract P16).
    return `keepalived ${{ start: 'started', stop: 'stoped', reload: 'reloaded' }[action]}`;
  }

  /** True once a config was uploaded. */
  async isConfigured(): Promise<boolean> {
    return (await readIfPresent(this.#configFile)) !== null;
  }

  /**
   * At the agent's start: takes over the running one, and brings back what a reboot took away. One that was
   * stopped by request stays so.
   */
  async adopt(duty: Duty): Promise<void> {
    if (!(await this.isConfigured())) return;
    const { services, stoppedMark, log } = this.#options;
    const service = this.#service();
    await this.#writeCheckScripts(duty, false);
    const adopted = await services.adopt(service);
    if (!adopted && (await readIfPresent(stoppedMark)) !== null) {
      log.info('keepalived stays stopped, as it was asked to');
      return;
    }
    if (!adopted) await services.start(service);
    log.info({ adopted }, 'keepalived runs');
  }

  /** Follows what is in force. `gone`: the last listener was just stopped or deleted. */
  async refreshCheck(duty: Duty, gone: boolean): Promise<void> {
    if (await this.isConfigured()) await this.#writeCheckScripts(duty, gone);
  }

  async #writeCheckScripts(duty: Duty, gone: boolean): Promise<void> {
    const directory = this.#file('check_scripts');
    const haproxy = join(directory, 'haproxy_check_script.sh');
    const hadListeners = gone || knewListeners(await readText(haproxy));
    const { commands } = this.#options;
    const scripts = checkScripts(duty, { commands, hadListeners });
    // One of the two is there at every moment, and a new duty is checked before an old one is let go.
    await put(join(directory, 'lvs_udp_check.sh'), scripts.datapath, 0o100);
    await put(haproxy, scripts.haproxy, 0o644);
    await put(this.#file('check_script.sh'), renderCheckScript(directory), 0o755);
  }

  get #configFile(): string {
    return this.#file('octavia-keepalived.conf');
  }

  #file(name: string): string {
    return join(this.#options.basePath, 'vrrp', name);
  }

  #service(): Service {
    const { program, namespace, logFacility } = this.#options;
    const pidFile = this.#file('octavia-keepalived.pid');
    const facility = `--log-facility=${logFacility()}`;
    const args = [facility, '-f', this.#configFile, '-p', pidFile];
    return {
      name: 'octavia-keepalived',
      program,
      args,
      foregroundArgs: ['--dont-fork', '--log-console'],
      pidFile,
      guardsPidFile: true,
      reloadSignal: 'SIGHUP',
      unit: renderKeepalivedUnit({ program, args, pidFile, namespace }),
    };
  }
}

const outputOf = (error: unknown): string =>
  error instanceof CommandFailed ? error.output : textOf(error);

const readText = async (path: string): Promise<string | null> =>
  (await readIfPresent(path))?.toString() ?? null;

/** A file is written only where it differs: keepalived may be about to run it. */
const put = async (path: string, text: string | null, mode: number): Promise<void> => {
  if (text === (await readText(path))) return;
  await (text === null ? removePath(path) : writeFileAtomic(path, text, mode));
};
