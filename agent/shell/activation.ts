// SPDX-License-Identifier: Apache-2.0
// Socket activation: the service manager listens, and starts us at the first connection (sd_listen_fds(3)).
import type { Server } from 'node:http';

/** The descriptors that are handed over begin here. */
const FIRST_FD = 3;

/** The handed-over socket, or null when there is none, or it was meant for another process. */
export const activatedSocket = (environment: NodeJS.ProcessEnv, pid: number): number | null =>
  environment['LISTEN_PID'] === String(pid) && Number(environment['LISTEN_FDS']) > 0
    ? FIRST_FD
    : null;

/** Calls `onIdle` once nobody has asked for that long; requests are counted, connections are not. */
export const watchIdle = (server: Server, idleMs: number, onIdle: () => void): void => {
  const timer = setTimeout(onIdle, idleMs);
  server.on('request', () => timer.refresh());
  server.on('close', () => {
    clearTimeout(timer);
  });
};
