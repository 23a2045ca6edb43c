// SPDX-License-Identifier: Apache-2.0
// What an onlooker on both wires knows of flows: whose packets came out towards which member, and so who must get the
// member's answers. Nothing of it comes from the datapath's maps.
import type { View } from './view.js';

/** Source and destination of one direction. Addresses in hexadecimal. */
export interface Way {
  readonly protocol: number;
  readonly source: string;
  readonly sport: number;
  readonly destination: string;
  readonly dport: number;
}

/** One flow: as the client sends it, and as the member gets it. */
export interface SeenFlow {
  readonly family: 4 | 6;
  readonly client: Way;
  readonly member: Way;
}

export const wayOf = ({ protocol, source, sport, destination, dport }: View): Way => ({
  protocol,
  source,
  sport,
  destination,
  dport,
});

export const backwards = ({ protocol, source, sport, destination, dport }: Way): Way => ({
  protocol,
  source: destination,
  sport: dport,
  destination: source,
  dport: sport,
});

export const nameOf = ({ protocol, source, sport, destination, dport }: Way): string =>
  `${protocol} ${source}:${sport} > ${destination}:${dport}`;

export class FlowBook {
  /** By the name of the member's answers. */
  readonly #byAnswer = new Map<string, SeenFlow>();
  readonly #byClient = new Map<string, SeenFlow>();
  readonly #addresses = new Set<string>();
  #all: SeenFlow[] = [];

  /** A packet of the client came out as `member`: from now on the answers are this client's. */
  note(flow: SeenFlow): void {
    const answer = nameOf(backwards(flow.member));
    const known = this.#byAnswer.get(answer);
    if (known && nameOf(known.client) === nameOf(flow.client)) return;
    this.#byAnswer.set(answer, flow);
    this.#byClient.set(nameOf(flow.client), flow);
    for (const way of [flow.client, flow.member, backwards(flow.client), backwards(flow.member)])
      this.#addresses.add(`${way.source} > ${way.destination}`);
    this.#all.push(flow);
    if (this.#all.length > 400) this.#all = this.#all.slice(200);
  }

  /** The flow that a packet from a member belongs to. */
  byAnswer(way: Way): SeenFlow | undefined {
    return this.#byAnswer.get(nameOf(way));
  }

  /** Where the client's packets came out last. */
  byClient(way: Way): SeenFlow | undefined {
    return this.#byClient.get(nameOf(way));
  }

  /** Whether any flow has ever had these two addresses on one of its wires. */
  hasAddresses(source: string, destination: string): boolean {
    return this.#addresses.has(`${source} > ${destination}`);
  }

  /** Lately seen. */
  recent(): readonly SeenFlow[] {
    return this.#all;
  }
}
