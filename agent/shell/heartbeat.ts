// SPDX-License-Identifier: Apache-2.0
// Heartbeats: the timer, and the sockets (contract 3.2).
import { type Socket, createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { type Destination, parseDestinations } from '../core/report/destinations.js';
import {
  type Heartbeat,
  MAX_DATAGRAM_BYTES,
  sealHeartbeat,
  withoutMembers,
} from '../core/report/heartbeat.js';
import { textOf } from '../errors.js';
import { readIfPresent } from './files.js';

export interface HeartbeatConfig {
  readonly basePath: string;
  readonly controllers: readonly string[];
  readonly heartbeatIntervalSeconds: number;
  readonly heartbeatKey: string | null;
}

export interface HeartbeatOptions {
  /** Read before each heartbeat. */
  readonly config: () => HeartbeatConfig;
  /** Number `seq`; statistics since the last one that was asked for. */
  readonly build: (seq: number) => Promise<Heartbeat>;
  readonly log: FastifyBaseLogger;
}

export class HeartbeatSender {
  readonly #options: HeartbeatOptions;
  readonly #sockets = new Map<4 | 6, Socket>();
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #seq = 0;
  #complaint = '';

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Sends until stopped: one at once, the others an interval apart. Never throws. */
  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      const signal = AbortSignal.any([this.#wake.signal, this.#stop.signal]);
      this.#complain(await this.#beat().catch(textOf));
      const pauseMs = this.#options.config().heartbeatIntervalSeconds * 1000;
      await sleep(pauseMs, null, { signal, ref: false }).catch(() => undefined);
    }
    for (const socket of this.#sockets.values()) socket.close();
  }

  /** The configuration changed: the next heartbeat goes out now, by the new one. */
  reconfigure(): void {
    this.#wake.abort();
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Null, or why this heartbeat did not go out. */
  async #beat(): Promise<string | null> {
    const { config, build } = this.#options;
    const { basePath, controllers, heartbeatKey } = config();
    if (heartbeatKey === null) return 'no heartbeat_key';
    const { destinations, bad } = parseDestinations(controllers);
    const destination = destinations[this.#seq % destinations.length];
    if (destination === undefined) return `no destination in controller_ip_port_list`;
    const vrrp = await vrrpFailure(basePath);
    if (vrrp !== null) return vrrp;
    const message = await build(this.#seq);
    this.#seq += 1;
    const sealed = sealHeartbeat(message, heartbeatKey);
    if (sealed.length <= MAX_DATAGRAM_BYTES) {
      await this.#send(sealed, destination);
      return bad === null ? null : `controller_ip_port_list is cut off at ${bad}`;
    }
    await this.#send(sealHeartbeat(withoutMembers(message), heartbeatKey), destination);
    return `${sealed.length} bytes do not fit a datagram: sent without members`;
  }

  /** Losses are the network's: the next heartbeat goes to the next controller. */
  async #send(data: Buffer, { host, port }: Destination): Promise<void> {
    const { log } = this.#options;
    try {
      const { address, family } = await lookup(host, { verbatim: true });
      const socket = this.#socket(family === 6 ? 6 : 4);
      await new Promise<void>((resolve, reject) => {
        socket.send(data, port, address, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      });
    } catch (error) {
      log.debug({ err: error, host, port }, 'heartbeat not sent');
    }
  }

  #socket(family: 4 | 6): Socket {
    const known = this.#sockets.get(family);
    if (known !== undefined) return known;
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.unref();
    socket.on('error', (error) => {
      this.#options.log.debug({ err: error }, 'heartbeat socket failed');
      this.#sockets.delete(family);
      socket.close();
    });
    this.#sockets.set(family, socket);
    return socket;
  }

  /** Says a thing once, not every interval. */
  #complain(complaint: string | null): void {
    if (complaint !== null && complaint !== this.#complaint) {
      this.#options.log.error({ reason: complaint }, 'heartbeat held back or incomplete');
    }
    if (complaint === null && this.#complaint !== '') this.#options.log.info('heartbeats go out');
    this.#complaint = complaint ?? '';
  }
}

/** Silence is how the controller learns that VRRP is dead (contract P54). */
const vrrpFailure = async (basePath: string): Promise<string | null> => {
  const file = join(basePath, 'vrrp', 'octavia-keepalived');
  if ((await readIfPresent(`${file}.conf`)) === null) return null;
  const text = (await readIfPresent(`${file}.pid`))?.toString() ?? '';
  const pid = Number(/^\s*(\d+)/.exec(text)?.[1] ?? 0);
  if (pid === 0) return 'keepalived is configured and has no PID file';
  return isAlive(pid) ? null : 'keepalived is configured and does not run';
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
