// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { memberAddresses, movingListeners } from '../../agent/core/plan/moving.js';
import { at, listener, member, pool } from './plan-fixtures.js';

const members = [
  member('a', '192.0.2.1'),
  member('off', '192.0.2.2', { enabled: false }),
  member('nameless', '192.0.2.3', { address: null }),
];
const web = listener('web', [pool(members)]);
const proxied = listener('web', [pool(members)], { engine: 'haproxy' });
const sameplace = listener('other', [pool(members)]);
const elsewhere = listener('other', [pool(members)], { vips: [at('203.0.113.10', 81)] });

const cases: [string, Listener[], Listener[], string[]][] = [
  ['a listener that HAProxy takes over is served on', [web], [proxied], ['web']],
  ['one that stays is not', [web], [web], []],
  ['one that is gone is not', [web], [], []],
  ['nor one whose place another took', [web], [proxied, sameplace], []],
  ['another port is another place', [web], [proxied, elsewhere], ['web']],
];
for (const [name, before, all, moving] of cases) {
  t.test(name, async (t) => {
    const after = all.filter(({ engine }) => engine === 'datapath');
    const found = movingListeners(before, after, all);
    t.strictSame(
      found.map(({ id }) => id),
      moving,
    );
  });
}

t.test('packets go to members that are enabled and have an address', async (t) => {
  t.strictSame([...memberAddresses([web, elsewhere])], ['192.0.2.1']);
});
