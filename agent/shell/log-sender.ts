// SPDX-License-Identifier: Apache-2.0
// Log messages to a Unix datagram socket: waits a little for a receiver that is slow or starting anew, never for ever.
import { setTimeout as sleep } from 'node:timers/promises';
import { addon } from '../../native/index.js';

/** A receiver that does not read. */
const SLOW_MS = 1000;
/** One that is not there: rsyslog restarts within a second or so. */
const RETRY_MS = 250;
const RETRIES = 8;
const ABSENT = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTCONN', 'ECONNRESET', 'EPIPE']);

export class LogSender {
  readonly #path: string;
  /** What was wrong with the last batch. */
  #code: string | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  get code(): string | null {
    return this.#code;
  }

  /** Returns how many were taken, from the first on. */
  async send(messages: readonly Uint8Array[]): Promise<number> {
    // Who waited in vain for a receiver does not wait again before it has come back.
    const retries = this.#code !== null && ABSENT.has(this.#code) ? 0 : RETRIES;
    let sent = 0;
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#try(messages.slice(sent));
      sent += answer.sent;
      this.#code = answer.code;
      if (answer.code === null || !ABSENT.has(answer.code) || attempt >= retries) return sent;
      await sleep(RETRY_MS);
    }
  }

  #try(messages: readonly Uint8Array[]): ReturnType<typeof addon.sendDatagrams> {
    const lengths = Uint32Array.from(messages, ({ length }) => length);
    return addon.sendDatagrams(this.#path, Buffer.concat(messages), lengths, SLOW_MS);
  }
}
