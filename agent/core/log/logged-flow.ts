// SPDX-License-Identifier: Apache-2.0
// A flow that has ended, as its line in the log tells it (contract 9.3). Values only.

export interface LoggedEnd {
  readonly address: string;
  readonly port: number;
}

export interface LoggedFlow {
  readonly listenerId: string;
  /** `<pool>:<listener>`; the listener's id again where it has no pool. */
  readonly backend: string;
  /** Null where nobody was chosen. */
  readonly memberId: string | null;
  readonly client: LoggedEnd;
  readonly vip: LoggedEnd;
  /** Towards the member, and the member; null where nobody was chosen. */
  readonly source: LoggedEnd | null;
  readonly member: LoggedEnd | null;
  /** Milliseconds since 1970. */
  readonly acceptedMs: number;
  readonly durationMs: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  /** How often the client was moved to another member before one answered. */
  readonly retries: number;
  /** A member accepted the connection. */
  readonly isEstablished: boolean;
  /** The first two characters of HAProxy's termination state. */
  readonly termination: string;
}

/** A point in time as a wall clock shows it. */
export interface Moment {
  readonly year: number;
  /** From 0. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** `+0100`. */
  readonly zone: string;
}

/** What a line tells beside its flow. */
export interface LogContext {
  readonly pid: number;
  readonly hostName: string;
  /** Local time, and UTC. */
  readonly local: (milliseconds: number) => Moment;
  readonly utc: (milliseconds: number) => Moment;
  /** Flows open now: of the amphora, and of the listener. */
  readonly open: (listenerId: string) => { readonly all: number; readonly listener: number };
}
