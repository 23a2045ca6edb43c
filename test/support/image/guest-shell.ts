// SPDX-License-Identifier: Apache-2.0
// A root shell in the guest, behind a virtio port: unlike a serial line it loses nothing while nobody listens. User
// data starts it; see `SHELL_COMMANDS`.
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { until } from '../run.js';

/** Its port is the only one of the only virtio-serial device, whose number depends on the machine's other devices. */
const UNIT = `[Unit]
Description=Root shell of a test
[Service]
ExecStartPre=-/sbin/modprobe --quiet virtio_console
ExecStart=/bin/sh -c "while :; do for d in /dev/vport*p1; do [ -c $$d ] && sh <>$$d >&0 2>&0; done; sleep 1; done"
[Install]
WantedBy=multi-user.target
`;

/** Lines of cloud-config: the shell comes again with each boot. */
export const SHELL_COMMANDS: readonly string[] = [
  `echo ${Buffer.from(UNIT).toString('base64')} | base64 -d > /etc/systemd/system/test-shell.service`,
  'systemctl daemon-reload',
  'systemctl enable --now test-shell.service',
];

export class GuestShell {
  readonly #socket: Socket;
  #heard = '';
  #questions = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => (this.#heard += data.toString()));
    socket.on('error', () => undefined);
  }

  static async open(path: string): Promise<GuestShell> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    return new GuestShell(socket);
  }

  /** What a script printed, standard error included. Throws unless it ends with status 0. */
  run(script: string, timeoutMs = 300_000): Promise<string> {
    const answer = this.#turn.then(() => this.#ask(script, timeoutMs));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  /** Asks until somebody is there; questions that nobody heard are answered in their turn, before the last. */
  async wait(timeoutMs: number): Promise<void> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      try {
        await this.run(':', 5000);
        return;
      } catch (error) {
        if (Date.now() > end) throw error;
      }
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #ask(script: string, timeoutMs: number): Promise<string> {
    this.#questions += 1;
    const mark = `=${process.pid}-${this.#questions}=`;
    this.#heard = '';
    this.#socket.write(`( ${script}\n) </dev/null; echo "${mark}"$?\n`);
    const pattern = new RegExp(`${mark}(\\d+)\\r?\\n`);
    const what = `the guest ends ${script.slice(0, 80)}; heard: `;
    const found = await until(
      what,
      async () => pattern.exec(this.#heard) ?? false,
      timeoutMs,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}${this.#heard.slice(-2000)}`, { cause: error });
    });
    const output = this.#heard.slice(0, found.index).replaceAll('\r\n', '\n');
    if (found[1] !== '0') throw new Error(`${script}: status ${found[1] ?? ''}: ${output}`);
    return output;
  }
}
