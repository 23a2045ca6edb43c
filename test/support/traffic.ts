// SPDX-License-Identifier: Apache-2.0
// The tools under test/support/tools, as promises.
import { createInterface } from 'node:readline';
import type { ChildProcess } from 'node:child_process';
import type { Namespace } from './netns.js';
import { inCheckout } from './paths.js';
import { ended } from './run.js';

const tool = (name: string): string => inCheckout(`build/tools/${name}`);

export interface Opened {
  readonly opened: number;
  readonly refused: number;
  readonly timeout: number;
  /** Connections by the name of the server that answered. */
  readonly members: Readonly<Record<string, number>>;
  /** In the order of opening: the server's name, `refused` or `timeout`. */
  readonly names: readonly string[];
}

export interface Checked {
  readonly right: number;
  readonly wrong: number;
  readonly lost: number;
  readonly closed: number;
  readonly slowest_ms: number;
}

export interface Sources {
  readonly first: string;
  readonly count: number;
}

const sourceArguments = (sources?: Sources): string[] =>
  sources ? [sources.first, String(sources.count)] : [];

/** A tool that answers each line with a line. */
class Conversation {
  readonly child: ChildProcess;
  /** Lines heard and not yet taken, then those who wait for one. */
  readonly #heard: string[] = [];
  readonly #waiting: ((line: string | null) => void)[] = [];
  #errors = '';
  #over = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(namespace: Namespace, name: string, args: readonly string[]) {
    this.child = namespace.spawn(tool(name), args, { stdio: 'pipe' });
    const { stdout, stderr, stdin } = this.child;
    if (!stdout || !stderr || !stdin) throw new Error('pipes expected');
    stdin.on('error', () => undefined);
    stderr.on('data', (text: Buffer) => (this.#errors += text.toString()));
    const lines = createInterface({ input: stdout });
    lines.on('line', (line) => {
      const taker = this.#waiting.shift();
      if (taker) taker(line);
      else this.#heard.push(line);
    });
    lines.on('close', () => {
      this.#over = true;
      for (const taker of this.#waiting.splice(0)) taker(null);
    });
  }

  async line(): Promise<string> {
    const line =
      this.#heard.shift() ??
      (this.#over
        ? null
        : await new Promise<string | null>((resolve) => this.#waiting.push(resolve)));
    if (line === null) throw new Error(`tool ended: ${this.#errors.trim()}`);
    return line;
  }

  async ask<T>(question: string): Promise<T> {
    const answer = this.#turn.then(() => {
      this.child.stdin?.write(`${question}\n`);
      return this.line();
    });
    this.#turn = answer.catch(() => undefined);
    return JSON.parse(await answer) as T;
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await ended(this.child);
  }
}

/** Holds TCP connections to one VIP and port, at most about 19,000 (a process may hold 20,000 descriptors). */
export class Flows {
  readonly #tool: Conversation;

  constructor(namespace: Namespace, address: string, port: number) {
    this.#tool = new Conversation(namespace, 'flows', [address, String(port)]);
  }

  /** Later connections come from these addresses in turn. */
  async from({ first, count }: Sources): Promise<void> {
    await this.#tool.ask(`sources ${first} ${count}`);
  }

  async toPort(port: number): Promise<void> {
    await this.#tool.ask(`port ${port}`);
  }

  open(count: number, { parallel = 1, timeoutMs = 5000 } = {}): Promise<Opened> {
    return this.#tool.ask(`open ${count} ${parallel} ${timeoutMs}`);
  }

  /** Each open connection sends a token and hears it again, `rounds` times, a round each `pauseMs`. */
  check(rounds = 1, pauseMs = 0): Promise<Checked> {
    return this.#tool.ask(`check ${rounds} ${pauseMs}`);
  }

  /** Closes the first `count` connections to the named server, or of all. */
  async close(name = 'all', count = 1_000_000, how: 'fin' | 'rst' = 'fin'): Promise<number> {
    const { closed } = await this.#tool.ask<{ closed: number }>(`close ${name} ${count} ${how}`);
    return closed;
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}

export interface ServerStats {
  readonly accepted: number;
  readonly open: number;
  readonly datagrams: number;
}

/** A member's TCP and UDP server on some ports, both families. */
export class Server {
  readonly name: string;
  readonly #tool: Conversation;

  private constructor(name: string, conversation: Conversation) {
    this.name = name;
    this.#tool = conversation;
  }

  static async start(
    namespace: Namespace,
    name: string,
    ports: readonly number[],
    workers = 1,
  ): Promise<Server> {
    const args = [name, String(workers), ...ports.map(String)];
    const server = new Server(name, new Conversation(namespace, 'server', args));
    await server.#tool.line();
    return server;
  }

  stats(): Promise<ServerStats> {
    return this.#tool.ask('stats');
  }

  /** As if the process crashed: its kernel answers new connections with RST. */
  stop(): Promise<void> {
    return this.#tool.stop();
  }
}

export interface TransferResult {
  readonly complete: number;
  readonly mismatch: number;
  readonly failed: number;
  readonly stalled: number;
  readonly milliseconds: number;
  readonly members: Readonly<Record<string, number>>;
  readonly names: readonly string[];
}

export interface TransferSpec {
  readonly address: string;
  readonly port: number;
  /** `raw` is `get` without content or checksums, for speed. */
  readonly direction: 'get' | 'put' | 'raw';
  readonly count: number;
  readonly bytes: number;
  /** Paced to take about this long; 0 or absent: as fast as it goes. */
  readonly seconds?: number;
  readonly sources?: Sources;
}

/** Resolves once every transfer has moved its first bytes; `result` when all have ended. */
export const startTransfer = async (
  namespace: Namespace,
  spec: TransferSpec,
): Promise<{ readonly result: Promise<TransferResult>; readonly stop: () => Promise<void> }> => {
  const numbers = [spec.count, spec.bytes, spec.seconds ?? 0].map(String);
  const args = [
    spec.address,
    String(spec.port),
    spec.direction,
    ...numbers,
    ...sourceArguments(spec.sources),
  ];
  const conversation = new Conversation(namespace, 'transfer', args);
  const first = await conversation.line();
  if (!first.includes('started')) throw new Error(first);
  const result = conversation.line().then((line) => JSON.parse(line) as TransferResult);
  result.catch(() => undefined); // looked at when awaited
  return { result, stop: () => conversation.stop() };
};

export const transfer = async (
  namespace: Namespace,
  spec: TransferSpec,
): Promise<TransferResult> => {
  const { result } = await startTransfer(namespace, spec);
  return result;
};

export interface DatagramResult {
  readonly sent: number;
  readonly right: number;
  readonly wrong: number;
  readonly lost: number;
  readonly refused: number;
  /** Answers by another server than the socket's first. */
  readonly moved: number;
  readonly members: Readonly<Record<string, number>>;
  /** By socket: the first server that answered, or ''. */
  readonly names: readonly string[];
}

export interface DatagramSpec {
  readonly address: string;
  readonly port: number;
  readonly sockets: number;
  readonly rounds: number;
  readonly size: number;
  readonly pauseMs?: number;
  readonly sources?: Sources;
}

export const datagrams = async (
  namespace: Namespace,
  spec: DatagramSpec,
): Promise<DatagramResult> => {
  const numbers = [spec.port, spec.sockets, spec.rounds, spec.size, spec.pauseMs ?? 0].map(String);
  const args = [spec.address, ...numbers, ...sourceArguments(spec.sources)];
  return JSON.parse(await new Conversation(namespace, 'datagrams', args).line()) as DatagramResult;
};

export interface FloodSpec {
  readonly interface: string;
  readonly sourceMac: string;
  readonly targetMac: string;
  readonly address: string;
  readonly port: number;
  readonly count: number;
  readonly perSecond: number;
}

/** SYNs from random sources, as frames. */
export const flood = async (
  namespace: Namespace,
  spec: FloodSpec,
): Promise<{ sent: number; milliseconds: number }> => {
  const macs = [spec.interface, spec.sourceMac, spec.targetMac];
  const args = [...macs, spec.address, ...[spec.port, spec.count, spec.perSecond].map(String)];
  const line = await new Conversation(namespace, 'flood', args).line();
  return JSON.parse(line) as { sent: number; milliseconds: number };
};
