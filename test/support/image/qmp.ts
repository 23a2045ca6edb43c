// SPDX-License-Identifier: Apache-2.0
// QEMU's machine protocol: one question at a time, events passed over.
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';

interface Reply {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

export class Qmp {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(socket: Socket, lines: Interface) {
    this.#socket = socket;
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** The socket must be there. */
  static async open(path: string): Promise<Qmp> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    socket.on('error', () => undefined); // QEMU ends with the socket open
    const qmp = new Qmp(socket, createInterface({ input: socket }));
    await qmp.#lines.next(); // the greeting
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  /** What the command returned. Throws with QEMU's words. */
  execute(command: string, args: object = {}): Promise<unknown> {
    const answer = this.#turn.then(async () => {
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
      return this.#reply(command);
    });
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  /** A command of the human monitor; its words are its only answer, so any word is an error. */
  async monitor(line: string): Promise<void> {
    const words = await this.execute('human-monitor-command', { 'command-line': line });
    if (typeof words === 'string' && words.trim() !== '') throw new Error(`${line}: ${words}`);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #reply(command: string): Promise<unknown> {
    for (;;) {
      const line = await this.#lines.next();
      if (line.done === true) throw new Error(`${command}: QEMU has gone`);
      const reply = JSON.parse(line.value) as Reply;
      if (reply.error !== undefined) throw new Error(`${command}: ${reply.error.desc}`);
      if ('return' in reply) return reply.return;
    }
  }
}
