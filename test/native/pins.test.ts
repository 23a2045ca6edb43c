// SPDX-License-Identifier: Apache-2.0
// Maps that outlive their object: pinned, found again, refused when they do not fit.
import { readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { addon } from '../../native/index.js';
import { cabledPair, compile, mountBpffs, thrownBy, u32, u64, words64 } from './support.js';

const path = await compile(t, 'tiny');
const hooks = await compile(t, 'hooks');

/** What is pinned; a bpffs also has two files of the kernel's own where it was first mounted. */
const pinsIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => !name.endsWith('.debug'))
    .sort();

t.test('pins nothing unless told to', async (t) => {
  const object = addon.openObject(path);
  t.equal(object.map('shared').info.reused, false);
  object.close();
});

t.test(
  'pins maps of its own, and the next object takes them over with what they hold',
  async (t) => {
    const directory = await mountBpffs(t);
    const first = addon.openObject(hooks, { pinDirectory: directory });
    t.strictSame(pinsIn(directory), ['counts', 'events'], 'no section of globals');
    first.map('counts').update(u32(1), u64(4711));
    const { id } = first.map('counts').info;
    t.equal(first.map('counts').info.reused, false);
    first.close();

    const second = addon.openObject(hooks, { pinDirectory: directory });
    t.match(second.map('counts').info, { id, reused: true });
    t.strictSame(words64(second.map('counts').lookup(u32(1)) ?? new Uint8Array(0)), [4711]);
    second.close();

    const map = addon.openPinnedMap(join(directory, 'counts'));
    t.match(map.info, { name: 'counts', id, reused: true });
    map.close();
  },
);

t.test('leaves out what must not be pinned', async (t) => {
  const directory = await mountBpffs(t);
  const options = { pinDirectory: directory, unpinned: ['own'] };
  addon.openObject(path, options).close();
  t.strictSame(pinsIn(directory), ['shared']);
  const object = addon.openObject(path, options);
  t.equal(object.map('shared').info.reused, true);
  t.equal(object.map('own').info.reused, false);
  object.close();
});

t.test('makes the maps alone, which programs that come later take over', async (t) => {
  const directory = await mountBpffs(t);
  const maps = addon.openObject(hooks, { pinDirectory: directory, mapsOnly: true });
  t.strictSame(pinsIn(directory), ['counts', 'events']);
  const [name = ''] = maps.programNames();
  t.throws(() => maps.programFd(name), { code: 'ENOENT' });
  const whole = addon.openObject(hooks, { pinDirectory: directory });
  t.match(whole.map('counts').info, { id: maps.map('counts').info.id, reused: true });
  t.type(whole.programFd(name), 'number');
  whole.close();
  maps.close();
});

t.test('keeps the size of a pinned map when only that differs', async (t) => {
  const directory = await mountBpffs(t);
  addon.openObject(path, { pinDirectory: directory, maxEntries: { shared: 10 } }).close();
  const object = addon.openObject(path, {
    pinDirectory: directory,
    maxEntries: { shared: 20, own: 5 },
  });
  t.match(object.map('shared').info, { maxEntries: 10, reused: true });
  t.match(object.map('own').info, { maxEntries: 1, reused: true });
  t.equal(object.testRun('pass', new Uint8Array(64)).verdict, 2);
  object.close();
});

const incompatible = [
  ['another type', ['KIND=BPF_MAP_TYPE_HASH'], /its type is 2, the object wants 1/],
  ['another size of value', ['VALUE=__u32'], /its value size is 8, the object wants 4/],
  ['other flags', ['FLAGS=BPF_F_MMAPABLE'], /its flags is 0, the object wants 1024/],
] as const;
for (const [name, definitions, message] of incompatible) {
  t.test(`refuses a pinned map of ${name} and leaves all as it was`, async (t) => {
    const directory = await mountBpffs(t);
    addon.openObject(path, { pinDirectory: directory, unpinned: ['own'] }).close();
    const other = await compile(t, 'tiny', definitions);
    const error = thrownBy(() => addon.openObject(other, { pinDirectory: directory }));
    t.match(error, { code: 'EEXIST', errno: 17, tried: 'reuse of pinned map shared', message });
    t.strictSame(pinsIn(directory), ['shared'], 'the fitting half was not pinned');
    const object = addon.openObject(path, { pinDirectory: directory });
    t.equal(object.map('shared').info.reused, true);
    object.close();
  });
}

t.test('refuses a pin that is no map', async (t) => {
  const directory = await mountBpffs(t);
  const { a } = await cabledPair(t);
  const object = addon.openObject(path);
  const ifindex = addon.ifindexByName('a0', a.path);
  const link = addon.attachXdp({
    programFd: object.programFd('pass'),
    ifindex,
    netns: a.path,
    mode: 'native',
  });
  link.pin(join(directory, 'shared'));
  link.close();
  object.close();
  t.match(
    thrownBy(() => addon.openObject(path, { pinDirectory: directory })),
    {
      code: 'EEXIST',
      message: /is no map/,
    },
  );
  t.match(
    thrownBy(() => addon.openPinnedLink(join(directory, 'nothing'))),
    { code: 'ENOENT' },
  );
});

t.test('a load that fails leaves no pin behind', async (t) => {
  const directory = await mountBpffs(t);
  const refused = await compile(t, 'tiny', ['REFUSED']);
  t.match(
    thrownBy(() => addon.openObject(refused, { pinDirectory: directory })),
    { code: 'EACCES' },
  );
  t.strictSame(pinsIn(directory), []);
});

t.test('a pin that fails takes back those made before it', async (t) => {
  const directory = await mountBpffs(t);
  const object = addon.openObject(path);
  const [first = '', last = ''] = object.mapNames().filter((name) => /^(own|shared)$/.test(name));
  object.close();
  t.not(first, '');
  // Opens as nothing, so there is nothing to reuse; but the name is taken.
  symlinkSync(join(directory, 'nowhere', 'x'), join(directory, last));
  t.match(
    thrownBy(() => addon.openObject(path, { pinDirectory: directory })),
    { code: 'EEXIST', tried: `bpf_obj_pin ${directory}/${last}` },
  );
  t.strictSame(pinsIn(directory), [last], `the pin of ${first} is gone`);
});

t.test('a directory that is missing or no bpffs is an error that names it', async (t) => {
  const missing = join(await mountBpffs(t), 'missing');
  for (const [pinDirectory, code] of [
    [missing, 'ENOENT'],
    ['/tmp', 'EPERM'],
  ] as const) {
    const error = thrownBy(() => addon.openObject(path, { pinDirectory }));
    t.equal(error.code, code);
    t.ok(error.tried.startsWith(`bpf_obj_pin ${pinDirectory}/`), error.tried);
  }
});

t.test('pins a single map by path', async (t) => {
  const directory = await mountBpffs(t);
  const map = addon.createMap({
    type: 2,
    name: 'single',
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: 0,
  });
  map.pin(join(directory, 'x'));
  t.match(
    thrownBy(() => {
      map.pin(join(directory, 'x'));
    }),
    { code: 'EEXIST', tried: 'bpf_obj_pin single' },
  );
  map.close();
  const again = addon.openPinnedMap(join(directory, 'x'));
  t.equal(again.info.name, 'single');
  again.close();
  t.match(
    thrownBy(() => addon.openPinnedMap(join(directory, 'y'))),
    { code: 'ENOENT' },
  );
});
