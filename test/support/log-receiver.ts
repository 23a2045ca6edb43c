// SPDX-License-Identifier: Apache-2.0
// A real rsyslogd in the amphora VM, configured as the controller configures it, and the tenant's log server behind it.
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { AmphoraVm } from './amphora-vm.js';
import { amphoraFixture } from './fixtures.js';
import { ended, until } from './run.js';
import { MANAGEMENT } from './topology.js';
import type { World } from './world.js';

const PORT = 10514;

/** A datagram is a line, whether or not it ends like one. */
const SERVER = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(('', int(sys.argv[1])))
while True:
    print(s.recv(65536).decode().strip(), flush=True)
`;

/** The image's part (contract 9.1); a whole rsyslog.conf, as nothing else of this machine's belongs to the VM. */
const FRAME = `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/run/rsyslog/octavia/log" CreatePath="on")
$IncludeConfig /etc/rsyslog.d/10-rsyslog.conf
`;

export class LogReceiver {
  /** What the tenant's server has heard. */
  readonly lines: string[] = [];
  readonly #vm: AmphoraVm;
  readonly #server: ChildProcess;

  private constructor(vm: AmphoraVm, server: ChildProcess) {
    this.#vm = vm;
    this.#server = server;
    if (server.stdout)
      createInterface({ input: server.stdout }).on('line', (line) => this.lines.push(line));
  }

  static async start(world: World, vm: AmphoraVm): Promise<LogReceiver> {
    const listen = ['--pdeathsig', 'KILL', 'python3', '-c', SERVER, String(PORT)];
    const receiver = new LogReceiver(
      vm,
      world.management.spawn('setpriv', listen, { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    const rules = amphoraFixture('etc/rsyslog.d/10-rsyslog-remote-16.0.0.conf');
    const targets = rules.replaceAll(/192\.0\.2\.11/g, MANAGEMENT.controller);
    await vm.exec('mkdir', '-p', '/etc/rsyslog.d');
    writeFileSync(vm.path('/etc/rsyslog.d/10-rsyslog.conf'), targets);
    writeFileSync(vm.path('/etc/rsyslog-amphora.conf'), FRAME);
    await receiver.restart();
    return receiver;
  }

  /** Starts rsyslogd, again if it runs. */
  async restart(): Promise<void> {
    const pidFile = '/run/rsyslogd.pid';
    await this.#vm.exec('sh', '-c', `test ! -e ${pidFile} || kill "$(cat ${pidFile})"`);
    await until('rsyslogd has ended', async () =>
      this.#vm.exec('test', '!', '-e', pidFile).then(
        () => true,
        () => false,
      ),
    );
    await this.#vm.exec('rsyslogd', '-f', '/etc/rsyslog-amphora.conf', '-i', pidFile);
    await this.#vm.exec('test', '-S', '/run/rsyslog/octavia/log');
  }

  /** The line that tells of this client port, as fields: what follows rsyslog's own header. */
  async fieldsOf(clientPort: number, timeoutMs = 20_000): Promise<string[]> {
    const found = () => this.lines.filter((line) => fields(line)[4] === String(clientPort));
    await until(`a line for port ${clientPort}`, async () => found().length > 0, timeoutMs);
    return fields(found()[0] ?? '');
  }

  async stop(): Promise<void> {
    this.#server.kill('SIGKILL');
    await ended(this.#server);
  }
}

/** Of a message as rsyslog forwards it: `<134>Nov 20 15:24:07 host haproxy[pid]: fields`. A request is one field. */
const fields = (line: string): string[] =>
  /^<134>.{15} \S+ haproxy\[\d+\]: (.*)$/.exec(line)?.[1]?.match(/"[^"]*"|\S+/g) ?? [];
