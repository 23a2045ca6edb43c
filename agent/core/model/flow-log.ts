// SPDX-License-Identifier: Apache-2.0
// What became of the log of flows.

export interface FlowLogCounters {
  /** Lines that a receiver took, since the agent's start. */
  readonly written: number;
  readonly lost: {
    /** Since the maps were made: more flows ended than the ring holds. */
    readonly ring: number;
    /** Since the agent's start: nobody listened, or too slowly. */
    readonly receiver: number;
    /** Since the agent's start: their listener has gone, or logs no more. */
    readonly listener: number;
    /** Since the agent's start: refused connections beyond what is written in a second. */
    readonly refusals: number;
    /** The agent before this one had taken them and was killed. */
    readonly restart: number;
  };
  /** By path of the socket: what was wrong with the last batch (an errno's name), or null. */
  readonly receivers: Readonly<Record<string, string | null>>;
}

export const lostLines = ({ lost }: Pick<FlowLogCounters, 'lost'>): number =>
  lost.ring + lost.receiver + lost.listener + lost.refusals + lost.restart;
