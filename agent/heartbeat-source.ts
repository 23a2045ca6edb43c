// SPDX-License-Identifier: Apache-2.0
// What a heartbeat tells: the committed listeners, as both engines see them now.
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import type { Amphora } from './amphora.js';
import type { Dataplane, ListenerCounters } from './core/model/dataplane.js';
import { type Reading, type Totals, takeDeltas } from './core/report/deltas.js';
import { type Heartbeat, buildHeartbeat } from './core/report/heartbeat.js';
import { type Presence, presentListeners } from './core/report/presence.js';
import { poolStatuses } from './core/report/statuses.js';
import { type FrontendStats, readHaproxyStats } from './shell/haproxy-stats.js';
import { StatsCounters } from './shell/stats-counters.js';

export interface HeartbeatSourceOptions {
  readonly amphora: Pick<Amphora, 'snapshot' | 'statsSockets'>;
  readonly dataplane: Pick<Dataplane, 'counters'>;
  readonly amphoraId: string;
  readonly basePath: string;
  readonly log: FastifyBaseLogger;
  /** A clock for tests. */
  readonly nowMs?: () => number;
}

/** Builds heartbeat number `seq`. What it counts is counted as told, whether or not it arrives. */
export const heartbeatSource = (
  options: HeartbeatSourceOptions,
): ((seq: number) => Promise<Heartbeat>) => {
  const { amphora, dataplane, amphoraId, log, nowMs = () => performance.now() } = options;
  const counters = new StatsCounters(join(options.basePath, 'stats_counters.json'), log);
  let presence: Presence = { present: [], absentIds: [], lastServed: new Map() };
  return async (seq) => {
    const haproxy = await readHaproxyStats(amphora.statsSockets());
    const { committed, wanted } = amphora.snapshot();
    const before = presence;
    presence = presentListeners({
      listeners: committed.flatMap(({ upload }) => upload.listeners),
      frontends: haproxy.frontends,
      lastServed: before.lastServed,
      nowMs: nowMs(),
    });
    const { present, absentIds } = presence;
    if (absentIds.length > before.absentIds.length) {
      log.error({ listeners: absentIds }, 'HAProxy is gone, its listeners are not reported');
    }
    const listenerIds = present.map(({ id }) => id);
    const datapath = dataplane.counters().listeners;
    const read = (id: string): Reading => readingOf(haproxy.frontends.get(id), datapath[id]);
    const { deltas, after } = takeDeltas(
      await counters.load(),
      new Map(listenerIds.map((id) => [id, read(id)])),
    );
    await counters.save(after);
    return buildHeartbeat({
      amphoraId,
      seq,
      listenerIds,
      deltas,
      open: new Map(
        listenerIds.map((id) => [
          id,
          (haproxy.frontends.get(id)?.open ?? 0) + (datapath[id]?.open ?? 0),
        ]),
      ),
      pools: poolStatuses(present, { words: haproxy.words, down: wanted.down }),
    });
  };
};

const readingOf = (
  frontend: FrontendStats | undefined,
  datapath: ListenerCounters | undefined,
): Reading => ({
  haproxy: frontend ?? null,
  datapath: datapath === undefined ? null : totalsOf(datapath),
});

/** The datapath sees no requests, so none in error. */
const totalsOf = ({ rxBytes, txBytes, flows }: ListenerCounters): Totals => ({
  bin: rxBytes,
  bout: txBytes,
  ereq: 0,
  stot: flows,
});
