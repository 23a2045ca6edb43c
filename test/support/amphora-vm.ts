// SPDX-License-Identifier: Apache-2.0
// An amphora VM without a hypervisor: a root directory, a PID namespace and the world's `amphora` network namespace.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { amphoraFixture } from './fixtures.js';
import { inCheckout } from './paths.js';
import { MANAGEMENT } from './topology.js';
import { ended, run, sleep, until } from './run.js';
import type { World } from './world.js';

/** What a VM needs of its surroundings: its default network namespace, and where its log goes. */
export type VmWorld = Pick<World, 'amphora' | 'directory'>;

export interface VmOptions {
  readonly hook: 'auto' | 'xdp' | 'tc';
  /** Lines for [amphora_xdp]. */
  readonly options?: readonly string[];
  /** The VM outlives this process. */
  readonly keep?: boolean;
  /** Directories whose etc, var and usr lie over the machine's; with any, the VM has systemd's commands. */
  readonly images?: readonly string[];
  /** Who keeps HAProxy running; `systemd` wants a systemctl in the VM. */
  readonly services?: 'supervisor' | 'systemd';
  /** The agent, if it is not ours as compiled; the config file follows it. */
  readonly agent?: readonly string[];
  /** Every program that our agent and its children run is written down, in the VM's /run/exec.log. */
  readonly traced?: boolean;
  /** Directories that are the VM's own, beside /etc, /var and /usr: what is written there can be told. */
  readonly overlays?: readonly string[];
}

/** Where the compiled agent lies; a test may name another with AMPHORA_AGENT. */
const AGENT = process.env['AMPHORA_AGENT'] ?? inCheckout('dist/agent/bin/amphora-agent.js');
/** Whole command lines, of everything that comes of it; only these system calls stop it. */
const TRACED = [
  ...'strace -f --seccomp-bpf -qq -s 4096 -v -e trace=execve,execveat -e signal=none -o'.split(' '),
  ...['/run/exec.log', process.execPath, AGENT],
];
const CTL = inCheckout('dist/agent/bin/amphoractl.js');

export class AmphoraVm {
  readonly #world: VmWorld;
  readonly #init: number;
  readonly #holder: ChildProcess;
  readonly #logFile: string;
  readonly #command: readonly string[];
  #agent: ChildProcess | null = null;

  private constructor(
    world: VmWorld,
    holder: ChildProcess,
    init: number,
    command: readonly string[] = [process.execPath, AGENT],
  ) {
    this.#world = world;
    this.#holder = holder;
    this.#init = init;
    this.#command = command;
    this.#logFile = join(world.directory, 'agent.log');
  }

  /** Boots the VM with the files that a controller delivers; the agent is not yet started. */
  static async boot(world: VmWorld, options: VmOptions): Promise<AmphoraVm> {
    const script = inCheckout('test/support/vm-init');
    const unshare = [
      ...['unshare', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'],
      ...['--propagation', 'private', 'bash', script, ...(options.images ?? [])],
    ];
    const bound = options.keep === true ? [] : ['setpriv', '--pdeathsig', 'KILL'];
    const command = ['nsenter', `--net=${world.amphora.path}`, '--', ...bound, ...unshare];
    const log = openSync(join(world.directory, 'vm.log'), 'a');
    const holder = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'pipe', log],
      detached: options.keep ?? false,
      env: { ...process.env, VM_OVERLAYS: (options.overlays ?? []).join(' ') },
    });
    closeSync(log);
    if (!holder.stdout) throw new Error('the VM has no output');
    const [words] = (await once(holder.stdout, 'data')) as [Buffer];
    if (!words.toString().startsWith('ready')) throw new Error(`VM: ${words.toString()}`);
    const vm = new AmphoraVm(
      world,
      holder,
      await childOf(holder.pid ?? 0),
      options.traced === true ? TRACED : options.agent,
    );
    vm.#deliver(options);
    return vm;
  }

  /** The VM's first process, by the number that it has outside: all of the VM ends with it. */
  get processId(): number {
    return this.#init;
  }

  /** Lets this process end before the VM does (`keep`). */
  release(): void {
    this.#holder.stdout?.destroy();
    this.#holder.unref();
    this.#agent?.unref();
  }

  /** A file of the VM, as this process can open it. */
  path(path: string): string {
    return `/proc/${this.#init}/root${path}`;
  }

  /** Runs a command in the VM, in its default network namespace. */
  exec(command: string, ...args: readonly string[]): Promise<string> {
    return run('nsenter', [...this.#enter(), command, ...args]);
  }

  /** Runs a command in the tenant-facing namespace of the VM. */
  execTenant(command: string, ...args: readonly string[]): Promise<string> {
    return this.exec('nsenter', '--net=/run/netns/amphora-haproxy', '--', command, ...args);
  }

  /** `amphoractl` against the running agent. */
  ctl(...args: readonly string[]): Promise<string> {
    return this.exec(process.execPath, CTL, ...args);
  }

  /** `program`: another build of our agent. */
  startAgent(keep = false, program?: string): void {
    const log = openSync(this.#logFile, 'a');
    const command = program === undefined ? this.#command : [process.execPath, program];
    const args = [...this.#enter(), ...command];
    this.#agent = spawn('nsenter', [...args, '--config-file', '/etc/octavia/amphora-agent.conf'], {
      stdio: ['ignore', log, log],
      detached: keep,
    });
    closeSync(log);
  }

  /** kill -9: nothing of the agent's own gets to run. */
  async killAgent(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#agent;
    if (!child?.pid) throw new Error('no agent runs');
    const pid = await childOf(child.pid);
    process.kill(pid, signal);
    await until('agent ends', async () => child.exitCode !== null || child.signalCode !== null);
    this.#agent = null;
  }

  /** Number of the agent's process, as this process sees it. */
  async agentProcess(): Promise<number> {
    let pid = this.#agent?.pid ?? 0;
    // Not by its command line, which it writes over with its title.
    while (readlinkSync(`/proc/${pid}/exe`) !== process.execPath) {
      pid = await childOf(pid);
    }
    return pid;
  }

  /** Everything that a boot takes away is gone, the agent with it; it is not started again. */
  async reboot(): Promise<void> {
    const child = this.#agent;
    await this.exec('bash', inCheckout('test/support/vm-reboot'));
    if (child) await ended(child);
    this.#agent = null;
  }

  get agentRuns(): boolean {
    return this.#agent !== null && this.#agent.exitCode === null && this.#agent.signalCode === null;
  }

  log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  /** Everything ends with the VM's first process: agent, HAProxy, namespaces, pins. */
  async destroy(): Promise<void> {
    this.#holder.kill('SIGKILL');
    await run('kill', ['-KILL', String(this.#init)]).catch(() => undefined);
    await sleep(50);
  }

  #enter(): string[] {
    return ['--target', String(this.#init), '--mount', '--pid', '--net', '--'];
  }

  #deliver(options: VmOptions): void {
    const config = amphoraFixture('amphora-agent.conf/16.0.0-SINGLE.conf')
      .replace(
        /^controller_ip_port_list = .*$/m,
        `controller_ip_port_list = ${MANAGEMENT.controller}:5555`,
      )
      .concat(`\n\n[amphora_xdp]\nhook = ${options.hook}\n`)
      .concat(`services = ${options.services ?? (options.images ? 'systemd' : 'supervisor')}\n`)
      .concat((options.options ?? []).map((line) => `${line}\n`).join(''));
    writeFileSync(this.path('/etc/octavia/amphora-agent.conf'), config);
    for (const file of ['server.pem', 'client_ca.pem']) {
      const content = amphoraFixture(`etc/octavia/certs/${file}`);
      writeFileSync(this.path(`/etc/octavia/certs/${file}`), content, { mode: 0o600 });
    }
  }
}

/** The only child of a process that forks one: `unshare --fork`, `nsenter --pid`. */
const childOf = (pid: number): Promise<number> =>
  until(`process ${pid} has a child`, async () => {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? undefined : Number(text.split(' ')[0]);
  });
