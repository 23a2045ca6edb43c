// SPDX-License-Identifier: Apache-2.0
// Opening and loading objects, running their programs, and what is said when that fails.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { addon } from '../../native/index.js';
import {
  cabledPair,
  compile,
  temporaryDirectory,
  thrownBy,
  u32,
  u64,
  words32,
  words64,
} from './support.js';

const path = await compile(t, 'maps');

t.test('lists maps and programs and gives descriptors', async (t) => {
  const object = addon.openObject(path);
  t.strictSame(object.programNames().sort(), ['add', 'find_prefix', 'grow', 'mark', 'read_inner']);
  const names = object.mapNames();
  t.ok(
    ['table', 'recent', 'array', 'percpu', 'prefixes', 'outer'].every((name) =>
      names.includes(name),
    ),
  );
  t.ok(object.programFd('grow') > 2);
  t.match(
    thrownBy(() => object.map('nope')),
    { code: 'ENOENT', tried: 'map nope' },
  );
  t.match(
    thrownBy(() => object.programFd('nope')),
    { code: 'ENOENT', tried: 'program nope' },
  );
  const table = object.map('table');
  object.close();
  object.close();
  for (const call of [
    () => object.map('table'),
    () => object.mapNames(),
    () => object.programFd('grow'),
  ]) {
    t.match(thrownBy(call), { code: 'EBADF' });
  }
  t.match(
    thrownBy(() => table.dump()),
    { code: 'EBADF' },
    'its maps are closed with it',
  );
});

t.test('sizes maps and sets constants before the load', async (t) => {
  const object = addon.openObject(path, {
    maxEntries: { table: 4, recent: 100 },
    constants: { verdict: u32(3), addend: u64(41) },
  });
  t.equal(object.map('table').info.maxEntries, 4);
  t.equal(object.map('recent').info.maxEntries, 100);
  t.equal(object.testRun('grow', new Uint8Array(64)).verdict, 3);
  const { verdict, context } = object.testRun('add', new Uint8Array(0), { context: u64(1, 0) });
  t.strictSame([verdict, words64(context)], [3, [1, 42]]);
  object.close();
});

const refusals = [
  ['a map that is not there', { maxEntries: { nope: 1 } }, 'ENOENT', /map nope/],
  ['a constant that is not there', { constants: { nope: u32(1) } }, 'ENOENT', /constant nope/],
  [
    'a constant of another size',
    { constants: { verdict: u64(1) } },
    'EINVAL',
    /takes 4 bytes, not 8/,
  ],
  ['an unpinned map that is not there', { unpinned: ['nope'] }, 'ENOENT', /unpinned map nope/],
] as const;
for (const [name, options, code, message] of refusals) {
  t.test(`refuses ${name}`, async (t) => {
    t.match(
      thrownBy(() => addon.openObject(path, options)),
      { code, message },
    );
  });
}

t.test('ends the message of a refused program with the verifier’s last words', async (t) => {
  const refused = await compile(t, 'tiny', ['REFUSED']);
  const error = thrownBy(() => addon.openObject(refused));
  t.equal(error.code, 'EACCES');
  t.equal(error.errno, 13);
  t.match(error.tried, /^bpf_object__load /);
  t.match(error.message, /invalid access to packet/);
  t.ok(error.message.length < 5000);
});

t.test('says why a file is no object', async (t) => {
  const text = join(temporaryDirectory(t), 'text.o');
  writeFileSync(text, 'not an ELF file');
  t.match(
    thrownBy(() => addon.openObject('/nonexistent.o')),
    {
      code: 'ENOENT',
      tried: 'bpf_object__open_file /nonexistent.o',
    },
  );
  t.match(
    thrownBy(() => addon.openObject(text)),
    { tried: `bpf_object__open_file ${text}` },
  );
  t.throws(() => addon.openObject('a\0b'), TypeError);
});

t.test(
  'runs XDP programs on a packet that may grow, as if it came in by an interface',
  async (t) => {
    const object = addon.openObject(path);
    const packet = Buffer.alloc(100, 0xab);
    const loopback = addon.ifindexByName('lo', null);
    const { verdict, data, context, nanoseconds } = object.testRun('grow', packet, {
      ingressIfindex: loopback,
    });
    t.equal(verdict, 2);
    t.equal(data.length, 140);
    t.strictSame(Buffer.from(data.subarray(40)), packet);
    t.equal(words32(context)[1], 140, 'data_end of the xdp_md that came back');
    t.ok(nanoseconds >= 0);
    const seen = words64(object.map('array').dump().values);
    t.strictSame(seen.slice(0, 2), [loopback, 100]);
    t.ok(object.testRun('read_inner', packet, { repeat: 10_000 }).nanoseconds > 0);
    t.match(
      thrownBy(() => object.testRun('grow', packet, { ingressIfindex: 4_000_000 })),
      {
        tried: 'bpf_prog_test_run_opts grow',
      },
    );
    t.match(
      thrownBy(() => object.testRun('grow', new Uint8Array(3))),
      { code: 'EINVAL' },
    );
    object.close();
  },
);

t.test('runs tc programs with the interface in their context', async (t) => {
  const object = addon.openObject(path);
  const loopback = addon.ifindexByName('lo', null);
  const { verdict, context } = object.testRun('mark', new Uint8Array(64), {
    ingressIfindex: loopback,
  });
  t.equal(verdict, 5);
  t.equal(words32(context)[2], 7, 'mark of the __sk_buff that came back');
  const seen = words32(object.map('array').lookup(u32(2)) ?? new Uint8Array(0));
  t.strictSame(seen, [loopback, loopback]);
  object.close();
});

t.test('runs a program inside a namespace, whose interfaces are other ones', async (t) => {
  const { a } = await cabledPair(t);
  const ifindex = addon.ifindexByName('a0', a.path);
  t.ok(ifindex > 0);
  t.equal(addon.ifindexByName('a0', null), 0);
  t.equal(addon.ifindexByName('no such name at all', a.path), 0);
  const object = addon.openObject(path);
  object.testRun('grow', new Uint8Array(64), { ingressIfindex: ifindex, netns: a.path });
  t.equal(words64(object.map('array').dump().values)[0], ifindex);
  t.match(
    thrownBy(() => object.testRun('grow', new Uint8Array(64), { netns: '/nonexistent' })),
    {
      code: 'ENOENT',
      tried: 'setns /nonexistent',
    },
  );
  t.match(
    thrownBy(() => object.testRun('grow', new Uint8Array(64), { netns: path })),
    {
      code: 'EINVAL',
      tried: `setns ${path}`,
    },
  );
  object.close();
});

t.test('hands libbpf’s log to the callback, and only while there is one', async (t) => {
  const lines: { level: number; text: string }[] = [];
  addon.setLog((level, text) => lines.push({ level, text }));
  t.teardown(() => {
    addon.setLog(null);
  });
  addon.openObject(path).close();
  t.ok(
    lines.some(({ level, text }) => level === 2 && /maps/.test(text)),
    'debug lines of a load',
  );
  thrownBy(() => addon.openObject('/nonexistent.o'));
  t.ok(lines.some(({ level, text }) => level === 0 && text.includes('/nonexistent.o')));
  const count = lines.length;
  addon.setLog(null);
  thrownBy(() => addon.openObject('/nonexistent.o'));
  t.equal(lines.length, count);
});
