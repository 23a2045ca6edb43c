// SPDX-License-Identifier: Apache-2.0
// The same over real TCP stacks: CPU time of everybody who takes part - client, server, balancer, softirqs - per
// request of 64 bytes with its answer, through ours, nftables and HAProxy, and without a balancer.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Hook } from '../bpf/support/board-spec.js';
import { Switchboard } from '../bpf/support/switchboard.js';
import { VIP4 } from '../bpf/support/world.js';
import type { FarEnd } from './far-end.js';
import { addNat, attachTc } from './middle.js';
import { LINES, type Row } from './subjects.js';

const MEMBER = '10.1.0.11';
const PORT = 80;
const MEMBER_PORT = 8080;
const CONNECTIONS = 64;

export interface TcpOptions {
  readonly program: string;
  readonly objects: string;
  readonly requests: number;
  readonly batches: number;
}

type Style = 'keep' | 'close';

export class TcpPath {
  readonly #server: ChildProcess;

  constructor(
    readonly options: TcpOptions,
    readonly client: FarEnd,
    readonly member: FarEnd,
  ) {
    this.#server = member.start(options.program, ['serve', String(MEMBER_PORT)]);
  }

  async measure(): Promise<Row[]> {
    await pause(300);
    return [
      ...this.#rows('no balancer, routed', { address: MEMBER, port: MEMBER_PORT }, []),
      ...this.#ours('xdp'),
      ...this.#ours('tc'),
      ...this.#nftables(),
      ...(await this.#haproxy()),
    ];
  }

  close(): void {
    this.#server.kill('SIGKILL');
  }

  #ours(hook: Hook): Row[] {
    const board = new Switchboard(hook, this.options.objects, {
      lines: LINES,
      maxEntries: { flows4: 262_144, half4: 65_536 },
    });
    const tc = hook === 'tc' ? attachTc(board) : null;
    // Native XDP forwards frames as they are: no checksum may be left to hardware that is not there.
    if (hook === 'xdp') this.#forNativeXdp(true);
    try {
      board.reset({
        control: { snat_port_min: 1024, snat_port_max: 65535, closed_stamps: 1 },
        listeners: [
          { vips: [VIP4], port: PORT, members: [{ address: MEMBER, port: MEMBER_PORT }] },
        ],
      });
      return this.#rows(`ours by ${hook}`, { address: VIP4, port: PORT }, []);
    } finally {
      tc?.();
      board.close();
      if (hook === 'xdp') this.#forNativeXdp(false);
    }
  }

  #nftables(): Row[] {
    const dropNat = addNat({
      protocol: 'tcp',
      port: PORT,
      member: MEMBER,
      memberPort: MEMBER_PORT,
    });
    try {
      return this.#rows('nftables DNAT + masquerade', { address: VIP4, port: PORT }, []);
    } finally {
      dropNat();
    }
  }

  async #haproxy(): Promise<Row[]> {
    const directory = mkdtempSync(`${tmpdir()}/amphora-bench-`);
    writeFileSync(`${directory}/haproxy.cfg`, HAPROXY);
    const haproxy = spawn('haproxy', ['-db', '-f', `${directory}/haproxy.cfg`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    try {
      await pause(700);
      return this.#rows('HAProxy, mode tcp', { address: VIP4, port: PORT }, [haproxy]);
    } finally {
      haproxy.kill('SIGKILL');
      rmSync(directory, { recursive: true });
    }
  }

  #rows(subject: string, to: { address: string; port: number }, helpers: ChildProcess[]): Row[] {
    return (['keep', 'close'] as const).map((style) => {
      const what = style === 'keep' ? 'request' : 'connection';
      const row = this.#batches(to, style, helpers);
      return { subject: `${subject}, per ${what}`, ...row };
    });
  }

  #batches(to: { address: string; port: number }, style: Style, helpers: ChildProcess[]) {
    const requests = style === 'keep' ? this.options.requests : this.options.requests >> 3;
    const busy = [this.#server, ...helpers].map(({ pid }) => pid ?? 0);
    const figures = Array.from({ length: this.options.batches }, () => {
      const args = [
        'ask',
        to.address,
        String(to.port),
        String(CONNECTIONS),
        String(requests),
        style,
      ];
      const before = cpuOf(busy) + softirqThreads();
      const answer: unknown = JSON.parse(this.client.run(this.options.program, args));
      if (typeof answer !== 'object' || answer === null || !('cpu_ns' in answer))
        throw new Error('the client said nothing');
      return (Number(answer.cpu_ns) + cpuOf(busy) + softirqThreads() - before) / requests;
    }).sort((a, b) => a - b);
    const [minimum = 0] = figures;
    return { minimum, median: figures[figures.length >> 1] ?? minimum, runs: figures.length };
  }

  /** And redirected frames only arrive where somebody polls: NAPI, which GRO turns on. */
  #forNativeXdp(on: boolean): void {
    for (const end of [this.client, this.member])
      end.run('ethtool', ['-K', end.device, 'tx', on ? 'off' : 'on', 'gro', on ? 'on' : 'off']);
  }
}

const HAPROXY = `
global
    maxconn 4096
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind ${VIP4}:${PORT}
    server member ${MEMBER}:${MEMBER_PORT}
`;

/** Run time in ns of processes; softirqs count for whom they interrupt. */
const cpuOf = (pids: readonly number[]): number =>
  pids.reduce(
    (sum, pid) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );

const softirqThreads = (): number =>
  cpuOf(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commOf(name).startsWith('ksoftirqd/'))
      .map(Number),
  );

const commOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
};

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
