// SPDX-License-Identifier: Apache-2.0
// Daemons as systemd units, under the names that operators know (contract 7.3).
import { join } from 'node:path';
import { NETNS_UNIT } from '../core/units/netns-unit.js';
import { UNIT_FILE_LIMIT } from './file-limit.js';
import { readIfPresent, removePath, writeFileAtomic } from './files.js';
import { CommandFailed, run } from './run.js';
import type { Service, Services } from './services.js';

export interface SystemdOptions {
  readonly unitDirectory: string;
  /** Text of the unit that those of the daemons require. */
  readonly netnsUnit: string;
}

const COMMAND_TIMEOUT_MS = 45_000;

export class Systemd implements Services {
  readonly isInitSystem = true;
  readonly #directory: string;
  readonly #netnsUnit: string;

  constructor({ unitDirectory, netnsUnit }: SystemdOptions) {
    this.#directory = unitDirectory;
    this.#netnsUnit = netnsUnit;
  }

  async isRunning(service: Service): Promise<boolean> {
    try {
      await run('systemctl', ['is-active', '--quiet', `${service.name}.service`]);
      return true;
    } catch (error) {
      if (error instanceof CommandFailed && error.exitCode !== null) return false;
      throw error;
    }
  }

  async start(service: Service): Promise<void> {
    await this.enable(service);
    await this.#systemctl('start', service);
  }

  async reload(service: Service): Promise<void> {
    await this.#install(service);
    await this.#systemctl('reload', service);
  }

  async enable(service: Service): Promise<void> {
    await this.#install(service);
    await this.#systemctl('enable', service);
  }

  halt(service: Service): Promise<void> {
    return this.#systemctl('stop', service);
  }

  async stop(service: Service): Promise<void> {
    const path = this.#unitFile(service);
    if ((await readIfPresent(path)) === null) return;
    await this.#systemctl('stop', service);
    await this.#systemctl('disable', service);
    await removePath(path);
    await run('systemctl', ['daemon-reload'], { timeoutMs: COMMAND_TIMEOUT_MS });
  }

  async adopt(service: Service): Promise<boolean> {
    await this.#install(service);
    return this.isRunning(service);
  }

  async lastWords(service: Service): Promise<string> {
    const args = ['-u', `${service.name}.service`, '-n', '20', '--no-pager', '-o', 'cat'];
    return (await run('journalctl', args)).stdout.trim();
  }

  fileLimit(): Promise<number> {
    return Promise.resolve(UNIT_FILE_LIMIT);
  }

  release(): void {
    // systemd holds them
  }

  /** Rewritten when its text changed: an upgraded agent must not run on old units (contract P67). */
  async #install(service: Service): Promise<void> {
    const units = [
      [join(this.#directory, NETNS_UNIT), this.#netnsUnit],
      [this.#unitFile(service), service.unit],
    ] as const;
    let changed = false;
    for (const [path, text] of units) {
      if ((await readIfPresent(path))?.toString() === text) continue;
      await writeFileAtomic(path, text, 0o644);
      changed = true;
    }
    if (changed) await run('systemctl', ['daemon-reload'], { timeoutMs: COMMAND_TIMEOUT_MS });
  }

  #unitFile(service: Service): string {
    return join(this.#directory, `${service.name}.service`);
  }

  async #systemctl(action: string, service: Service): Promise<void> {
    await run('systemctl', [action, `${service.name}.service`], { timeoutMs: COMMAND_TIMEOUT_MS });
  }
}
