// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { flowBytes, flowCapacity, tableSizes } from '../../agent/core/plan/sizes.js';

const GIB = 1024 ** 3;

t.test('a machine of 1 GiB lives and holds at least 100,000 flows', (t) => {
  const sizes = tableSizes(GIB);
  t.ok(flowCapacity(sizes) >= 100_000, `${flowCapacity(sizes)} flows`);
  t.ok(flowBytes(sizes) < GIB / 4, `${flowBytes(sizes)} bytes`);
  t.end();
});

t.test('a machine with room holds 1,000,000 flows of each family and not more', (t) => {
  t.equal(flowCapacity(tableSizes(8 * GIB)), 1_000_000);
  t.equal(flowCapacity(tableSizes(512 * GIB)), 1_000_000);
  t.equal(tableSizes(8 * GIB).flows6, 2_000_000);
  t.end();
});

t.test('tables that the kernel allocates at once leave a small machine its memory', (t) => {
  const preallocated = (gib: number): number => {
    const { half4, half6, persistence, fragments, log_events } = tableSizes(gib * GIB);
    return half4 * 144 + half6 * 208 + persistence * 144 + fragments * 100 + log_events;
  };
  t.ok(preallocated(1) < 25e6, `${preallocated(1)} bytes of 1 GiB`);
  t.ok(preallocated(0.5) < 13e6, `${preallocated(0.5)} bytes of half a GiB`);
  t.equal(tableSizes(4 * GIB).persistence, 131_072);
  t.end();
});

t.test('a very small machine gets small tables', (t) => {
  const sizes = tableSizes(64 * 1024 * 1024);
  t.equal(flowCapacity(sizes), 16_384);
  t.equal(sizes.half4, 16_384);
  t.end();
});

t.test('an operator overrides sizes; the ring stays a power of two', (t) => {
  const sizes = tableSizes(GIB, { flows: 10, members: 5, events: 5000 });
  t.match(sizes, { flows4: 20, flows6: 20, members: 5, events: 8192, listeners: 4096 });
  const many = { listeners: 10_000, pools: 10_000, services: 20_000 };
  t.match(tableSizes(GIB, { listeners: 10_000 }), many, 'what belongs to a listener follows');
  t.throws(() => tableSizes(GIB, { pools: 0 }), /table size pools must be a positive integer/);
  t.throws(() => tableSizes(GIB, { flows: 1.5 }), RangeError);
  t.end();
});
