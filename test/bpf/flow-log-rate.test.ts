// SPDX-License-Identifier: Apache-2.0
// The log of flows when thousands end in a second: each has a line at the receiver, or is in a count of what was lost.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { concatRecords, pack } from '../../agent/core/plan/encode.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import { tableSizes } from '../../agent/core/plan/sizes.js';
import { lostLines } from '../../agent/core/model/flow-log.js';
import { listener, member, pool, wantedState } from '../core/plan-fixtures.js';
import { until } from '../support/run.js';
import { makeWorld } from './dataplane-world.js';

const { FLOW_FROM_CLIENT, FLOW_OPEN } = enums.flow_state;
const FLOWS = 40_000;
/** Idle for longer than any timeout. */
const LONG_AGO = 1_000_000;

/** Counts the lines that come, tells the count whenever it has been quiet for a moment. `slow` naps at each. */
const RECEIVER = `
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('ready', flush=True)
s.settimeout(0.2)
count = told = 0
while True:
    try:
        line = s.recv(65536)
        assert line.startswith(b'<134>') and line.endswith(b'\\n') and b'haproxy[' in line, line
        count += 1
        if sys.argv[2] == 'slow': time.sleep(0.002)
    except TimeoutError:
        if count != told: print(count, flush=True)
        told = count
`;

/** Client and member half of flow number `i`, which nobody has used for long. */
const pairOf = (i: number, stamp: number) => {
  const [client, vip, snat, back] = [0x0a000000 + i, 0xcb00710a, 0xc0000205, 0xc000020b];
  const [sport, dport, protocol] = [40000, 80, 6];
  return {
    keys: [
      pack(structs.flow_key4, { saddr: client, daddr: vip, sport, dport, protocol }),
      pack(structs.flow_key4, { saddr: back, daddr: snat, sport: 80, dport: i & 0xffff, protocol }),
    ],
    values: [
      pack(structs.flow4, {
        ...{ new_saddr: snat, new_daddr: back, new_sport: i & 0xffff, new_dport: 80 },
        ...{ stamp, state: FLOW_OPEN | FLOW_FROM_CLIENT, bytes: BigInt(i) },
      }),
      pack(structs.flow4, {
        ...{ new_saddr: vip, new_daddr: client, new_sport: 80, new_dport: sport },
        ...{ stamp, bytes: 1n },
      }),
    ],
  };
};

const start = async (t: Test, pace: 'fast' | 'slow') => {
  const world = await makeWorld(t);
  const directory = mkdtempSync(join(tmpdir(), 'amp-log-')); // a socket's path is 107 bytes at most
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, 'log');
  const receiver: ChildProcess = spawn('python3', ['-c', RECEIVER, path, pace], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => receiver.kill('SIGKILL'));
  if (!receiver.stdout) throw new Error('no receiver');
  const lines = createInterface({ input: receiver.stdout });
  await once(lines, 'line');
  const heard = { lines: 0 };
  lines.on('line', (line) => (heard.lines = Number(line)));
  const sizes = tableSizes(2 ** 30, { flows: 2 * FLOWS, persistence: 1024 });
  const dataplane = world.dataplane({ sizes });
  await dataplane.start();
  const web = listener('web', [pool([member('a', '192.0.2.11')])], {
    logFormat: '%ci %cp %{+Q}o %B %ts',
    logTargets: [{ path, facility: 16, tag: 'haproxy', length: 1024 }],
  });
  await dataplane.apply(wantedState([web]));
  const table = world.map('flows4');
  const stamp = (dataplane.clock().stamp - LONG_AGO) >>> 0;
  /** Makes `count` flows; the answer puts them into the table. */
  const prepare = (from: number, count: number) => {
    const pairs = Array.from({ length: count }, (_, i) => pairOf(from + i, stamp));
    const keys = concatRecords(pairs.flatMap((pair) => pair.keys));
    const values = concatRecords(pairs.flatMap((pair) => pair.values));
    return (): number => table.updateBatch(keys, values);
  };
  const log = () => {
    const { log: counters } = dataplane.counters();
    if (!counters) throw new Error('a dataplane without a log');
    return counters;
  };
  /** Waits until each of `ends` flows is accounted for, and the receiver has had what was written. */
  const settle = async (ends: number): Promise<void> => {
    await until(
      'every flow accounted for',
      () => Promise.resolve(log().written + lostLines(log()) >= ends),
      60_000,
    );
    await until(
      'the receiver has it all',
      () => Promise.resolve(heard.lines === log().written),
      60_000,
    );
    t.equal(log().written + lostLines(log()), ends, JSON.stringify(log()));
    t.equal(heard.lines, log().written, 'lines at the receiver');
  };
  return { dataplane, prepare, log, settle, table };
};

t.test('flows that end by thousands in a second: lines and losses add up', async (t) => {
  const { dataplane, prepare, log, settle, table } = await start(t, 'fast');
  const batches = Array.from({ length: FLOWS / 1000 }, (_, i) => prepare(i * 1000, 1000));
  const begin = performance.now();
  for (const insert of batches) {
    insert();
    await dataplane.sweep();
  }
  const seconds = (performance.now() - begin) / 1000;
  await settle(FLOWS);
  t.equal(table.dump().count, 0);
  const [ends, lines] = [FLOWS, log().written].map((count) => Math.round(count / seconds));
  t.comment(`${ends} ends and ${lines} lines a second, ${lostLines(log())} lost`);
});

t.test('more ends at once than the ring holds: lines and losses add up', async (t) => {
  const { dataplane, prepare, log, settle } = await start(t, 'fast');
  prepare(0, FLOWS)();
  await dataplane.sweep();
  await settle(FLOWS);
  t.ok(log().lost.ring > 0, 'the ring was full');
  t.comment(`${log().written} lines, ${JSON.stringify(log().lost)}`);
});

t.test('a receiver that is too slow: lines and losses add up', async (t) => {
  const { dataplane, prepare, log, settle } = await start(t, 'slow');
  prepare(0, 8000)();
  await dataplane.sweep();
  await settle(8000);
  t.ok(log().lost.receiver + log().lost.ring > 0, 'it was');
  t.comment(`${log().written} lines, ${JSON.stringify(log().lost)}`);
});
