// SPDX-License-Identifier: Apache-2.0
// Daemons beside the agent. Two forms: systemd in the image, a built-in supervisor elsewhere.
import { access } from 'node:fs/promises';
import type { FastifyBaseLogger } from 'fastify';
import { Supervisor } from './supervisor.js';
import { Systemd } from './systemd.js';

/** A daemon that stays in the foreground of its own process group and writes its PID. */
export interface Service {
  /** Also the systemd unit's name, without suffix. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly pidFile: string;
  /** True for one that will not start where the file names a live process, be it itself. */
  readonly guardsPidFile?: boolean;
  /** What the supervisor adds to keep the daemon in its foreground; systemd's form is in the unit. */
  readonly foregroundArgs: readonly string[];
  /** Signal that makes it read its config again. */
  readonly reloadSignal: 'SIGUSR2' | 'SIGHUP';
  /** Text of the systemd unit. */
  readonly unit: string;
}

/** Throws when a command fails; `output` for the answer is in the error's message. */
export interface Services {
  /** True where other services of the image run by themselves. */
  readonly isInitSystem: boolean;
  isRunning(service: Service): Promise<boolean>;
  /** Starts it now and keeps it running, also after a crash of it. */
  start(service: Service): Promise<void>;
  /** Returns when the signal or command is delivered. */
  reload(service: Service): Promise<void>;
  /** Lets the next boot start it, without starting it now. */
  enable(service: Service): Promise<void>;
  /** Stops it until the next start or boot. Not running is fine. */
  halt(service: Service): Promise<void>;
  /** Stops it and forgets about it. Not running is fine. */
  stop(service: Service): Promise<void>;
  /** Takes charge of one that an earlier agent started. False when it does not run. */
  adopt(service: Service): Promise<boolean>;
  /** What it printed last, for whoever asks why it does not run. */
  lastWords(service: Service): Promise<string>;
  /** Files that a daemon may open. */
  fileLimit(): Promise<number>;
  /** Lets go without stopping anything. */
  release(): void;
}

export interface ServicesOptions {
  readonly form: 'auto' | 'systemd' | 'supervisor';
  readonly netns: string;
  readonly unitDirectory: string;
  readonly netnsUnit: string;
  readonly logDirectory: string;
  readonly log: FastifyBaseLogger;
}

/** `auto`: systemd where it is the init system (sd_booted(3)). */
export const createServices = async (options: ServicesOptions): Promise<Services> => {
  const isSystemd =
    options.form === 'systemd' ||
    (options.form === 'auto' &&
      (await access('/run/systemd/system').then(
        () => true,
        () => false,
      )));
  return isSystemd ? new Systemd(options) : new Supervisor(options);
};
