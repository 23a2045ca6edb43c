// SPDX-License-Identifier: Apache-2.0
// The capacity that is promised: 500 listeners, 5,000 members, 1,000 members in one pool, 1,000,000 flows.
import t from 'tap';
import { tableSizes } from '../../agent/core/plan/sizes.js';
import { at, listener, member, pool, wantedState } from '../core/plan-fixtures.js';
import { makeWorld } from './dataplane-world.js';

const address = (index: number): string =>
  `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
const members = (from: number, count: number, weight = 1) =>
  Array.from({ length: count }, (_, i) => member(`m${from + i}`, address(from + i), { weight }));

t.test('500 listeners with 5,000 members are applied and then cost nothing', async (t) => {
  const world = await makeWorld(t);
  const listeners = Array.from({ length: 500 }, (_, i) => {
    const size = i === 0 ? 1000 : 8;
    const pools = [pool(members(i * 1000, size), { id: `pool-${i}` })];
    return listener(`l${i}`, pools, { vips: [at('203.0.113.10', 1000 + i)] });
  });
  const dataplane = world.dataplane({ sizes: tableSizes(2 ** 31, { flows: 4096 }) });
  await dataplane.start();
  const begin = performance.now();
  const { writes } = await dataplane.apply(wantedState(listeners));
  const first = performance.now() - begin;
  t.match(writes, { members: 1000 + 499 * 8, pool_slots: 500, listeners: 500, services: 500 });
  const again = performance.now();
  t.strictSame((await dataplane.apply(wantedState(listeners))).writes, {});
  t.comment(`first ${Math.round(first)} ms, again ${Math.round(performance.now() - again)} ms`);
});
