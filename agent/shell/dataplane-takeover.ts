// SPDX-License-Identifier: Apache-2.0
// From maps of another layout to ours, under traffic: their programs go on until our tables are full.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { join } from 'node:path';
import { type Carriage, planCarriage } from '../core/plan/carry.js';
import { addon } from '../../native/index.js';
import { carryCounts, carryFlows, type MapPair, skipSnatPorts } from './dataplane-carry.js';
import type { DataplaneControl } from './dataplane-control.js';
import type { DataplaneLayouts, FormerLayout } from './dataplane-layouts.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneLogger } from './dataplane-options.js';

/** What is known of flows. */
const FLOW_MAPS = ['flows4', 'flows6', 'half4', 'half6', 'persistence'] as const;
/** What is counted, by number. Tables of the agent are written anew, caches fill themselves. */
const COUNT_MAPS = [
  'pool_state',
  'member_state',
  'listener_state',
  'member_counters',
  'listener_counters',
  'reasons',
] as const;

interface TakeoverOptions {
  readonly maps: DataplaneMaps;
  readonly control: DataplaneControl;
  readonly layouts: DataplaneLayouts;
  readonly former: readonly FormerLayout[];
  /** False: nobody knows whom the numbers in the records meant. */
  readonly known: boolean;
  readonly logger: DataplaneLogger;
}

export class DataplaneTakeover {
  readonly #options: TakeoverOptions;

  constructor(options: TakeoverOptions) {
    this.#options = options;
  }

  /**
   * Our tables are full: brings what the other programs know, puts ours in their place by `swap`, and brings what they
   * have learnt meanwhile. Until then a packet of an unknown connection is dropped, not refused: TCP repeats it. When
   * `swap` throws, the other maps stay, and the next call does the rest.
   */
  async complete<T>(swap: () => T): Promise<T> {
    const { maps, control, layouts, former, logger } = this.#options;
    const names = former.map(({ name }) => name);
    const flows = this.#open(FLOW_MAPS);
    const counts = this.#open(COUNT_MAPS);
    try {
      let before = 0;
      // The second look is short, and so is what the last one finds.
      for (const pair of [...flows, ...flows])
        for (const carried of carryFlows(pair)) {
          before += carried;
          await nextTurn();
        }
      control.setTakingOver(true);
      for (const pair of counts) carryCounts(pair);
      skipSnatPorts(maps.map('member_state'));
      const result = swap();
      const after = flows.flatMap((pair) => [...carryFlows(pair)]).reduce((a, b) => a + b, 0);
      logger.info({ names, before, after }, 'flows of another layout carried over');
      await layouts.removeFormer();
      return result;
    } finally {
      control.setTakingOver(false);
      control.bumpGeneration();
      for (const { from } of [...flows, ...counts]) from.close();
    }
  }

  #open(names: readonly string[]): MapPair[] {
    const { maps, former, logger } = this.#options;
    return former.flatMap(({ name: layout, directory, description }) =>
      names.flatMap((name) => {
        const how = this.#planOf(name, description);
        if (typeof how !== 'string')
          return { from: addon.openPinnedMap(join(directory, name)), to: maps.map(name), how };
        logger.warn({ layout, map: name, reason: how }, 'map of another layout not carried over');
        return [];
      }),
    );
  }

  #planOf(name: string, description: FormerLayout['description']): Carriage | string {
    if (!this.#options.known) return 'whom its numbers meant is not known';
    return description === null ? 'its layout is not described' : planCarriage(name, description);
  }
}
