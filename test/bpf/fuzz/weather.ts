// SPDX-License-Identifier: Apache-2.0
// What happens around the packets: the agent changes routes, members and limits, and ends flows, while they come.
import { mkdirSync, rmSync } from 'node:fs';
import { concatRecords, pack, packIndex, unpack } from '../../../agent/core/plan/encode.js';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import { addon, type BpfObject } from '../../../native/index.js';
import type { Random } from '../../support/random.js';
import { FIRST_NUMBER } from '../support/board-spec.js';
import { listenerRecord } from '../support/board-records.js';
import type { Switchboard } from '../support/switchboard.js';
import { clientKeys } from './audit.js';
import { LISTENERS } from './population.js';

/** The sweep's program over the board's own maps, which it finds by their pins in `directory`, a bpffs. */
export const openReaper = (board: Switchboard, objects: string, directory: string): BpfObject => {
  mkdirSync(directory, { mode: 0o700 });
  try {
    for (const name of board.mapNames().filter((name) => !name.startsWith('scratch')))
      board.map(name).pin(`${directory}/${name}`);
    return addon.openObject(`${objects}/lb_sys.bpf.o`, {
      pinDirectory: directory,
      unpinned: ['scratch'],
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
};

const firstMember = (listener: number): number =>
  LISTENERS.slice(0, listener).reduce((sum, { members }) => sum + members.length, FIRST_NUMBER);

/** Ends flows as the agent's sweep does, in any case. Returns how many. */
export const reap = (board: Switchboard, reaper: BpfObject, share: () => boolean): number => {
  let reaped = 0;
  for (const family of [4, 6] as const) {
    const keys = clientKeys(board, family).filter(share).slice(0, 1024);
    if (keys.length === 0) continue;
    const list = board.map(`reap_keys${family}`);
    list.updateBatch(
      new Uint8Array(Uint32Array.from(keys, (_, i) => i).buffer),
      concatRecords(keys),
    );
    const context = pack(structs.reap_context, { count: keys.length, family, force: 1 });
    const answer = reaper.testRun('reap', new Uint8Array(), { context });
    reaped += unpack(structs.reap_context, answer.context).reaped;
  }
  return reaped;
};

export const change = (board: Switchboard, reaper: BpfObject, random: Random): void => {
  const at = random.integer(0, LISTENERS.length - 1);
  const listener = LISTENERS[at];
  if (!listener) return;
  const pool = FIRST_NUMBER + at;
  const members = listener.members.map((_, i) => firstMember(at) + i);
  switch (random.integer(0, 4)) {
    case 0:
      board.bumpGeneration();
      break;
    case 1:
      reap(board, reaper, () => random.chance(0.3));
      break;
    case 2: {
      const some = random.sample(members, random.integer(0, members.length));
      const slots = some.map((member) => [member, random.integer(1, 5)] as const);
      board.setSlots(pool, listener.algorithm ?? 'roundRobin', slots);
      break;
    }
    case 3: {
      const limit = random.pick([0, 0, 1, 3]);
      const chosen = random.integer(0, listener.members.length - 1);
      const spec = listener.members[chosen];
      if (spec) board.setMember(firstMember(at) + chosen, { ...spec, limit }, pool);
      break;
    }
    case 4: {
      const live = random.chance(0.7);
      const flags = (listener.flags ?? enums.listener_flag.LISTENER_LIVE) & ~(live ? 0 : 1);
      board.map('listeners').update(packIndex(pool), listenerRecord({ ...listener, flags }, pool));
    }
  }
};
