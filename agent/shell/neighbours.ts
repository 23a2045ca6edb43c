// SPDX-License-Identifier: Apache-2.0
// Keeps the hardware addresses of members and gateways known to the kernel, so that the datapath's FIB lookup
// finds them: NTF_EXT_MANAGED makes the kernel resolve and refresh an entry by itself (Linux 5.16).
import type { FastifyBaseLogger } from 'fastify';
import { parseIpAddress } from '../core/model/address.js';
import type { IpAddress } from '../core/model/load-balancer.js';
import { ipBatch, ipJson, readRoutes } from './ip.js';
import { CommandFailed, run } from './run.js';

export interface NeighbourOptions {
  readonly netns: string;
  readonly log: FastifyBaseLogger;
}

export class Neighbours {
  readonly #options: NeighbourOptions;

  constructor(options: NeighbourOptions) {
    this.#options = options;
  }

  /** Manages the next hops of these members, and every gateway; lets go of others that it managed before. */
  async keep(members: ReadonlySet<IpAddress>): Promise<void> {
    const { netns, log } = this.#options;
    const [gateways, hops, managed] = await Promise.all([
      this.#gateways(),
      this.#nextHops([...members]),
      this.#managed(),
    ]);
    const wanted = new Set([...gateways, ...hops]);
    const lines = [
      ...[...wanted]
        .filter((hop) => !managed.has(hop))
        .map((hop) => `neigh replace ${hop} managed`),
      ...[...managed].filter((hop) => !wanted.has(hop)).map((hop) => `neigh del ${hop}`),
    ];
    for (const { line, error } of await ipBatch(netns, lines)) {
      log.warn({ line, error }, 'neighbour not managed');
    }
  }

  async #gateways(): Promise<string[]> {
    const routes = await readRoutes(this.#options.netns);
    return routes.flatMap(({ gateway, device }) =>
      gateway === null || device === '' ? [] : [`${gateway} dev ${device}`],
    );
  }

  /** `<address> dev <interface>` that packets to each member go to. Unreachable members have none. */
  async #nextHops(members: readonly IpAddress[]): Promise<string[]> {
    if (members.length === 0) return [];
    const stdout = await this.#batchOutput(members.map((one) => `route get ${one}\n`).join(''));
    return stdout.split('\n').flatMap((line) => {
      const route = routeOf(line);
      const next = route?.['gateway'] ?? route?.['dst'];
      const hop = typeof next === 'string' ? parseIpAddress(next) : null;
      const device = route?.['dev'];
      return hop === null || typeof device !== 'string' || device === 'lo'
        ? []
        : [`${hop} dev ${device}`];
    });
  }

  /** One unreachable member must not hide the others. */
  async #batchOutput(input: string): Promise<string> {
    try {
      const options = { netns: this.#options.netns, input };
      return (await run('ip', ['-json', '-force', '-batch', '-'], options)).stdout;
    } catch (error) {
      if (error instanceof CommandFailed) return error.output;
      throw error;
    }
  }

  async #managed(): Promise<Set<string>> {
    const entries = await ipJson(this.#options.netns, ['neigh', 'show', 'nud', 'all']);
    return new Set(
      entries
        .filter((entry) => 'managed' in entry)
        .map((entry) => `${String(entry['dst'])} dev ${String(entry['dev'])}`),
    );
  }
}

const routeOf = (line: string): Record<string, unknown> | null => {
  if (!line.startsWith('[')) return null;
  const [route] = JSON.parse(line) as Record<string, unknown>[];
  return route ?? null;
};
