// SPDX-License-Identifier: Apache-2.0
// What a map's handle refuses by itself, and what it says of the kernel's refusals.
import t from 'tap';
import { addon, type BpfMap } from '../../native/index.js';
import { compile, thrownBy, u32 } from './support.js';

const object = addon.openObject(await compile(t, 'maps'));
t.teardown(() => {
  object.close();
});

t.test('refuses what is not a record before the kernel sees it', async (t) => {
  const map = object.map('table');
  t.throws(() => map.lookup(new Uint8Array(3)), RangeError);
  t.throws(() => {
    map.update(u32(1), new Uint8Array(15));
  }, RangeError);
  t.throws(() => map.updateBatch(u32(1, 2), new Uint8Array(16)), RangeError);
  t.throws(() => map.deleteBatch(new Uint8Array(5)), RangeError);
  t.throws(() => map.readBatch(new Uint8Array(2), 1), RangeError);
  t.throws(() => map.readBatch(null, -1), RangeError);
  const lookup = (key: unknown) => map.lookup(key as Uint8Array);
  for (const key of [undefined, null, 4, 'abcd', [1, 2, 3, 4], {}, new Uint32Array(1)]) {
    t.throws(() => lookup(key), TypeError);
  }
  const lookupOn = (receiver: object) => () => map.lookup.call(receiver as BpfMap, u32(1));
  t.throws(lookupOn({}), TypeError);
  t.throws(lookupOn(object), TypeError, 'the handle of another kind');
  t.throws(() => new (map.constructor as new () => unknown)(), TypeError);
});

t.test('throws after close, which may come twice', async (t) => {
  const map = addon.createMap({
    type: 1,
    name: 'short',
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    flags: 0,
  });
  map.close();
  map.close();
  const calls = [
    () => map.lookup(u32(1)),
    () => {
      map.update(u32(1), u32(1));
    },
    () => map.delete(u32(1)),
    () => map.updateBatch(u32(1), u32(1)),
    () => map.deleteBatch(u32(1)),
    () => map.readBatch(null, 1),
    () => map.dump(),
    () => map.mmap(),
    () => {
      map.pin('/nowhere');
    },
    () => {
      object.map('outer').setInner(u32(1), map);
    },
    () => addon.openRingBuffer(map, () => undefined),
  ];
  for (const call of calls) {
    t.match(thrownBy(call), { code: 'EBADF', errno: 9, tried: 'use after close of map short' });
  }
});

t.test('names what the kernel refuses to create', async (t) => {
  const spec = { type: 1, name: 'odd', keySize: 0, valueSize: 4, maxEntries: 1, flags: 0 };
  t.match(
    thrownBy(() => addon.createMap(spec)),
    { code: 'EINVAL', tried: 'bpf_map_create odd' },
  );
  t.throws(() => addon.createMap({ ...spec, maxEntries: 2 ** 32 }), RangeError);
});
