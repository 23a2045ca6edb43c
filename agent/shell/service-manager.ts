// SPDX-License-Identifier: Apache-2.0
// What systemd is told of the agent: that it is up, what it waits for, and that its event loop turns (sd_notify(3)).
import type { FastifyBaseLogger } from 'fastify';
import { addon } from '../../native/index.js';

export interface ServiceManager {
  /** Up, and what it does: shown by `systemctl status`. Each call replaces the words. */
  ready(status: string): void;
  stopping(): void;
}

/** Resolves to what went wrong, or null. */
type Send = (path: string, state: string) => Promise<string | null>;

const sendDatagram: Send = async (path, state) => {
  const bytes = Buffer.from(state);
  const lengths = Uint32Array.of(bytes.length);
  return (await addon.sendDatagrams(path, bytes, lengths, SEND_TIMEOUT_MS)).code;
};

const MICROSECONDS_PER_MS = 1000;
/** A manager that does not read in that time has missed it. */
const SEND_TIMEOUT_MS = 100;
/** Pings per watchdog period: one may be late. */
const PINGS = 3;

/**
 * Talks to the socket that the environment names; without one every call is nothing. From the first `ready` on the
 * watchdog is fed from a timer of the event loop, so a loop that hangs is a service that is restarted.
 */
export const serviceManager = (
  environment: NodeJS.ProcessEnv,
  log: FastifyBaseLogger,
  send: Send = sendDatagram,
): ServiceManager => {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: period } = environment;
  // Children of ours are not the service.
  delete environment['NOTIFY_SOCKET'];
  delete environment['WATCHDOG_USEC'];
  delete environment['WATCHDOG_PID'];
  if (socket === undefined || socket === '') {
    return { ready: () => undefined, stopping: () => undefined };
  }
  const tell = (state: string): void => {
    send(socket, state).then(
      (code) => {
        if (code !== null) log.warn({ code }, 'service manager not told');
      },
      (error: unknown) => {
        log.warn({ err: error }, 'service manager not told');
      },
    );
  };
  let timer: NodeJS.Timeout | null = null;
  return {
    ready: (status) => {
      tell(`READY=1\nSTATUS=${status.replaceAll('\n', ' ')}`);
      if (timer !== null || period === undefined) return;
      const pauseMs = Number(period) / MICROSECONDS_PER_MS / PINGS;
      timer = setInterval(tell, pauseMs, 'WATCHDOG=1');
      timer.unref();
    },
    stopping: () => {
      tell('STOPPING=1');
    },
  };
};
