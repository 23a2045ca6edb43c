// SPDX-License-Identifier: Apache-2.0
// What the datapath serves, under the names that HAProxy's metrics have (contract 8.2). A metric that has no meaning
// for packets (requests, queues, compression) is absent, as HAProxy leaves HTTP metrics out for TCP.
import type { Counters, MemberCounters } from '../model/dataplane.js';
import { backendName } from '../model/ids.js';
import type { ListenerStatus, MemberStatus } from '../report/status.js';
import { type Family, labelsText } from './families.js';

interface Metric<Subject> {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly value: (subject: Subject) => number;
}

interface ListenerSubject {
  readonly status: ListenerStatus;
  readonly counters: Pick<MemberCounters, 'rxBytes' | 'txBytes' | 'flows' | 'open'>;
  readonly refused: number;
}
interface PoolSubject {
  readonly members: readonly MemberSubject[];
}
interface MemberSubject {
  readonly status: MemberStatus;
  readonly counters: MemberCounters;
}

const NOTHING: MemberCounters = {
  rxPackets: 0,
  rxBytes: 0,
  txPackets: 0,
  txBytes: 0,
  flows: 0,
  open: 0,
  refusals: 0,
};

const LISTENER: readonly Metric<ListenerSubject>[] = [
  gauge('current_sessions', 'Current number of active sessions.', ({ counters }) => counters.open),
  counter(
    'sessions_total',
    'Total number of sessions since the start.',
    (one) => one.counters.flows,
  ),
  counter('connections_total', 'Total number of connections.', (one) => one.counters.flows),
  counter('bytes_in_total', 'Total number of bytes from clients.', (one) => one.counters.rxBytes),
  counter('bytes_out_total', 'Total number of bytes to clients.', (one) => one.counters.txBytes),
  counter(
    'denied_connections_total',
    'Total number of requests denied by connection rules.',
    ({ refused }) => refused,
  ),
];

const sum =
  (field: keyof MemberCounters) =>
  ({ members }: PoolSubject): number =>
    members.reduce((total, { counters }) => total + counters[field], 0);
const usable = (backup: boolean) => (pool: PoolSubject) =>
  pool.members.filter(({ status }) => status.backup === backup && isUsable(status)).length;

const POOL: readonly Metric<PoolSubject>[] = [
  gauge('current_sessions', 'Current number of active sessions.', sum('open')),
  counter('sessions_total', 'Total number of sessions since the start.', sum('flows')),
  counter('connection_attempts_total', 'Total number of connection attempts.', sum('flows')),
  counter('connection_errors_total', 'Total number of failed connections.', sum('refusals')),
  counter('bytes_in_total', 'Total number of bytes from clients.', sum('rxBytes')),
  counter('bytes_out_total', 'Total number of bytes to clients.', sum('txBytes')),
  counter('loadbalanced_total', 'Total number of times the pool was selected.', sum('flows')),
  gauge('active_members', 'Current number of active members.', usable(false)),
  gauge('backup_members', 'Current number of backup members.', usable(true)),
];

const MEMBER: readonly Metric<MemberSubject>[] = [
  gauge('current_sessions', 'Current number of active sessions.', ({ counters }) => counters.open),
  counter(
    'sessions_total',
    'Total number of sessions since the start.',
    (one) => one.counters.flows,
  ),
  counter(
    'connection_attempts_total',
    'Total number of connection attempts.',
    ({ counters }) => counters.flows,
  ),
  counter(
    'connection_errors_total',
    'Total number of failed connections.',
    ({ counters }) => counters.refusals,
  ),
  counter('bytes_in_total', 'Total number of bytes from clients.', (one) => one.counters.rxBytes),
  counter('bytes_out_total', 'Total number of bytes to clients.', (one) => one.counters.txBytes),
  counter(
    'loadbalanced_total',
    'Total number of times the member was selected.',
    ({ counters }) => counters.flows,
  ),
  gauge('weight', 'Member weight.', ({ status }) => status.weight),
];

/** Families for the listeners that the datapath serves. */
export const datapathFamilies = (
  listeners: readonly ListenerStatus[],
  counters: Counters,
): Family[] => {
  const served = listeners.filter(({ engine }) => engine === 'datapath');
  const subjects = served.map((status): Labelled<ListenerSubject> => {
    const own = counters.listeners[status.id];
    const refused = (own?.refusedAcl ?? 0) + (own?.refusedLimit ?? 0);
    return [{ listener: status.id }, { status, counters: own ?? NOTHING, refused }];
  });
  const pools = served.flatMap(({ id, pools: own }) =>
    own.map((pool) => {
      const members = pool.members.map((status): Labelled<MemberSubject> => [
        { pool: backendName(pool.id, id), member: status.id },
        {
          status,
          counters: counters.listeners[id]?.pools[pool.id]?.[status.id] ?? NOTHING,
        },
      ]);
      return { labels: { pool: backendName(pool.id, id) }, members };
    }),
  );
  const poolSubjects = pools.map(({ labels, members }): Labelled<PoolSubject> => [
    labels,
    { members: members.map(([, member]) => member) },
  ]);
  const members = pools.flatMap((pool) => pool.members);
  return [
    states('listener', ['DOWN', 'UP'], subjects, () => 'UP'),
    ...families('listener', LISTENER, subjects),
    states('pool', ['DOWN', 'UP'], poolSubjects, poolState),
    ...families('pool', POOL, poolSubjects),
    states('member', ['DOWN', 'UP', 'MAINT', 'DRAIN', 'NOLB'], members, memberState),
    ...families('member', MEMBER, members),
  ];
};

type Labelled<Subject> = readonly [Readonly<Record<string, string>>, Subject];

const families = <Subject>(
  group: string,
  metrics: readonly Metric<Subject>[],
  subjects: readonly Labelled<Subject>[],
): Family[] =>
  metrics.map(({ name, type, help, value }) => ({
    name: `octavia_${group}_${name}`,
    type,
    help,
    samples: new Map(
      subjects.map(([labels, subject]) => [labelsText(labels), String(value(subject))]),
    ),
  }));

/** One sample for each possible state, 1 at the one that holds: as HAProxy writes a status. */
const states = <Subject>(
  group: string,
  possible: readonly string[],
  subjects: readonly Labelled<Subject>[],
  stateOf: (subject: Subject) => string,
): Family => ({
  name: `octavia_${group}_status`,
  type: 'gauge',
  help: `Current status of the ${group}, 1 at the state that holds.`,
  samples: new Map(
    subjects.flatMap(([labels, subject]) => {
      const now = stateOf(subject);
      return possible.map(
        (state) => [labelsText({ ...labels, state }), state === now ? '1' : '0'] as const,
      );
    }),
  ),
});

/** An empty pool is up (contract P44). */
const poolState = ({ members }: PoolSubject): string =>
  members.length === 0 || members.some(({ status }) => isUsable(status)) ? 'UP' : 'DOWN';

const memberState = ({ status }: MemberSubject): string =>
  status.state === 'no check' ? (status.weight === 0 ? 'DRAIN' : 'UP') : status.state;

const isUsable = ({ state, weight }: MemberStatus): boolean =>
  (state === 'UP' || state === 'no check') && weight > 0;

function gauge<Subject>(
  name: string,
  help: string,
  value: (subject: Subject) => number,
): Metric<Subject> {
  return { name, type: 'gauge', help, value };
}

function counter<Subject>(
  name: string,
  help: string,
  value: (subject: Subject) => number,
): Metric<Subject> {
  return { name, type: 'counter', help, value };
}
