// SPDX-License-Identifier: Apache-2.0
// Every kind of map that the datapath has, by single calls and by batches.
import t from 'tap';
import { addon, type BpfMap } from '../../native/index.js';
import { compile, thrownBy, u32, u64, words32, words64 } from './support.js';

const path = await compile(t, 'maps');
const object = addon.openObject(path);
t.teardown(() => {
  object.close();
});

/** Records of `table` and `recent`: first = key * 3, second = key, third = 0. */
const records = (from: number, count: number) => {
  const keys = u32(...Array.from({ length: count }, (_, i) => from + i));
  const values = Buffer.alloc(count * 16);
  for (let i = 0; i < count; i += 1) {
    values.writeBigUInt64LE(BigInt((from + i) * 3), i * 16);
    values.writeUInt32LE(from + i, i * 16 + 8);
  }
  return { keys, values };
};

const readAll = (map: BpfMap, limit: number) => {
  const keys: number[] = [];
  let slices = 0;
  let cursor: Uint8Array | null = null;
  do {
    const slice = map.readBatch(cursor, limit);
    keys.push(...words32(slice.keys));
    slices += 1;
    cursor = slice.cursor;
  } while (cursor);
  return { keys: keys.sort((a, b) => a - b), slices };
};

t.test('tells what the kernel knows of a map', async (t) => {
  const { id, ...info } = object.map('table').info;
  t.ok(id > 0);
  t.strictSame(info, {
    name: 'table',
    type: 1,
    keySize: 4,
    valueSize: 16,
    maxEntries: 1024,
    flags: 0,
    reused: false,
  });
  t.equal(object.map('percpu').info.valueSize, 8 * addon.possibleCpus());
  t.equal(object.map('table'), object.map('table'), 'one handle per map');
});

t.test('looks up, updates and deletes single records', async (t) => {
  const map = object.map('table');
  const { keys, values } = records(7, 1);
  t.equal(map.lookup(keys), null);
  map.update(keys, values);
  t.strictSame(Buffer.from(map.lookup(keys) ?? []), values);
  t.match(
    thrownBy(() => {
      map.update(keys, values, 1);
    }),
    { code: 'EEXIST', errno: 17 },
  );
  t.equal(map.delete(keys), true);
  t.equal(map.delete(keys), false);
  t.match(
    thrownBy(() => {
      map.update(keys, values, 2);
    }),
    {
      code: 'ENOENT',
      tried: 'bpf_map_update_elem table',
    },
  );
});

for (const name of ['table', 'recent']) {
  t.test(`writes, reads and deletes ${name} in batches`, async (t) => {
    const map = object.map(name);
    const { keys, values } = records(1, 900);
    t.equal(map.updateBatch(keys, values), 900);
    const { keys: dumped, values: dumpedValues, count } = map.dump();
    t.equal(count, 900);
    const pairs = new Map(
      words32(dumped).map((key, i) => [key, dumpedValues.subarray(i * 16, i * 16 + 16)]),
    );
    t.strictSame(Buffer.from(pairs.get(500) ?? []), records(500, 1).values);
    t.strictSame(readAll(map, 100).keys, words32(keys), 'every key once, whatever the slices');
    t.ok(readAll(map, 1).slices > 100, 'a limit below the size of a bucket still gets on');
    t.equal(map.deleteBatch(records(891, 20).keys), 10, 'absent keys are skipped, not an error');
    t.equal(map.deleteBatch(u32(5, 5000, 6, 5001, 7)), 3, 'also in the middle');
    t.equal(map.deleteBatch(keys), 887);
    t.equal(map.dump().count, 0);
    t.strictSame(map.readBatch(null, 10), {
      keys: new Uint8Array(0),
      values: new Uint8Array(0),
      count: 0,
      cursor: null,
    });
  });
}

t.test('batches with flags act as single updates do', async (t) => {
  const map = object.map('table');
  const { keys, values } = records(1, 10);
  t.equal(map.updateBatch(keys, values, 1), 10);
  const error = thrownBy(() => map.updateBatch(records(8, 10).keys, records(8, 10).values, 2));
  t.match(error, { code: 'ENOENT', message: /after 3 of 10 records/ });
  t.equal(map.deleteBatch(keys), 10);
});

t.test('says how far a batch came that a full table stopped', async (t) => {
  const map = object.map('table');
  const { keys, values } = records(1, 1100);
  const error = thrownBy(() => map.updateBatch(keys, values));
  t.match(error, { code: 'E2BIG', errno: 7, tried: 'bpf_map_update_batch table' });
  t.match(error.message, /after 1024 of 1100 records/);
  t.equal(map.deleteBatch(keys), 1024);
});

t.test('reads and writes per-CPU arrays, one value per CPU', async (t) => {
  const map = object.map('percpu');
  const cpus = addon.possibleCpus();
  const values = u64(...Array.from({ length: 2 * cpus }, (_, i) => i + 1));
  t.equal(map.updateBatch(u32(1, 3), values), 2);
  t.strictSame(words64(map.lookup(u32(3)) ?? new Uint8Array(0)), words64(values).slice(cpus));
  const dump = map.dump();
  t.strictSame(words32(dump.keys), [0, 1, 2, 3]);
  t.strictSame(
    words64(dump.values.subarray(cpus * 8, 2 * cpus * 8)),
    words64(values).slice(0, cpus),
  );
  t.strictSame(readAll(map, 3), { keys: [0, 1, 2, 3], slices: 2 });
});

t.test('keeps prefixes in a trie and the program finds the longest', async (t) => {
  const map = object.map('prefixes');
  const key = (length: number, ...address: number[]) =>
    Buffer.concat([u32(length), Buffer.from(address)]);
  t.equal(object.testRun('find_prefix', new Uint8Array(64)).verdict, 0);
  const keys = Buffer.concat([key(8, 10, 0, 0, 0), key(24, 10, 1, 2, 0), key(16, 10, 9, 0, 0)]);
  t.equal(map.updateBatch(keys, u32(8, 24, 16)), 3);
  t.equal(object.testRun('find_prefix', new Uint8Array(64)).verdict, 24);
  t.equal(map.dump().count, 3);
  t.strictSame(words32(map.dump().values).sort(), [16, 24, 8]);
  t.equal(map.deleteBatch(Buffer.concat([key(24, 10, 1, 2, 0), key(30, 10, 1, 2, 0)])), 1);
  t.equal(object.testRun('find_prefix', new Uint8Array(64)).verdict, 8);
  t.equal(map.delete(key(8, 10, 0, 0, 0)), true);
});

t.test('swaps inner maps of different sizes', async (t) => {
  const outer = object.map('outer');
  const inner = (maxEntries: number, value: number) => {
    const map = addon.createMap({
      type: 2,
      name: 'inner',
      keySize: 4,
      valueSize: 8,
      maxEntries,
      flags: 1 << 12,
    });
    map.update(u32(0), u64(value));
    return map;
  };
  t.equal(object.testRun('read_inner', new Uint8Array(64)).verdict, 99);
  for (const [entries, value] of [
    [1, 11],
    [1001, 12],
    [30, 13],
  ] as const) {
    const map = inner(entries, value);
    outer.setInner(u32(2), map);
    map.close();
    t.equal(object.testRun('read_inner', new Uint8Array(64)).verdict, value);
  }
  t.strictSame(words32(outer.dump().keys), [2], 'empty places are no records');
  const wrong = addon.createMap({
    type: 2,
    name: 'wrong',
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    flags: 1 << 12,
  });
  t.match(
    thrownBy(() => {
      outer.setInner(u32(1), wrong);
    }),
    { code: 'EINVAL', message: /inner map wrong/ },
  );
  t.throws(() => {
    object.map('table').setInner(u32(1), wrong);
  }, /no map of maps/);
  wrong.close();
  t.equal(outer.delete(u32(2)), true);
});

t.test('swaps many inner maps in one call', async (t) => {
  const outer = object.map('outer');
  const inners = [21, 22].map((value) => {
    const map = addon.createMap({
      type: 2,
      name: 'inner',
      keySize: 4,
      valueSize: 8,
      maxEntries: value,
      flags: 1 << 12,
    });
    map.update(u32(0), u64(value));
    return map;
  });
  t.equal(outer.setInners(u32(2, 1), inners), 2);
  t.equal(object.testRun('read_inner', new Uint8Array(64)).verdict, 21);
  t.strictSame(
    words32(outer.dump().values),
    [inners[1], inners[0]].map((inner) => inner?.info.id),
  );
  t.throws(() => outer.setInners(u32(1), inners), RangeError);
  t.throws(() => object.map('table').setInners(u32(1), inners.slice(1)), /no map of maps/);
  for (const inner of inners) inner.close();
  t.equal(outer.deleteBatch(u32(1, 2)), 2);
});

t.test('falls back to single calls where a type has no batch', async (t) => {
  // Device maps by hash: key any number, value an interface of this namespace.
  const map = addon.createMap({
    type: 25,
    name: 'devices',
    keySize: 4,
    valueSize: 4,
    maxEntries: 8,
    flags: 0,
  });
  const loopback = addon.ifindexByName('lo', null);
  t.ok(loopback > 0);
  t.equal(map.updateBatch(u32(5, 6, 7), u32(loopback, loopback, loopback)), 3);
  t.strictSame(readAll(map, 2), { keys: [5, 6, 7], slices: 2 });
  t.strictSame(words32(map.dump().values), [loopback, loopback, loopback]);
  t.equal(map.deleteBatch(u32(6, 9, 7)), 2);
  t.match(
    thrownBy(() => map.updateBatch(u32(1, 2), u32(loopback, 4_000_000))),
    {
      code: 'EINVAL',
      tried: 'bpf_map_update_elem devices',
      message: /after 1 of 2/,
    },
  );
  map.close();
});

t.test('maps the memory of an array into the process', async (t) => {
  const own = addon.openObject(path);
  const view = own.map('array').mmap();
  t.equal(view.length, 64);
  t.equal(own.map('array').mmap(), view);
  own.map('array').update(u32(3), u64(77));
  t.equal(words64(view)[3], 77, 'a write by call is seen in memory');
  view[0] = 5;
  t.strictSame(
    words64(own.map('array').lookup(u32(0)) ?? new Uint8Array(0)),
    [5],
    'and the reverse',
  );
  own.close();
  t.equal(view.length, 0, 'a view of a closed map is empty, not a trap');
  t.match(
    thrownBy(() => object.map('table').mmap()),
    { tried: 'mmap table' },
  );
});
