// SPDX-License-Identifier: Apache-2.0
// Ten thousand rounds of open and close leave no descriptor, thread or memory behind.
import { readdirSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { addon } from '../../native/index.js';
import { cabledPair, compile, thrownBy, u32, u64 } from './support.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const tiny = await compile(t, 'tiny');
const refused = await compile(t, 'tiny', ['REFUSED']);
const hooks = await compile(t, 'hooks');
const { a } = await cabledPair(t);
const ifindex = addon.ifindexByName('a0', a.path);

const array = { type: 2, name: 'array', keySize: 4, valueSize: 8, maxEntries: 64, flags: 1 << 10 };

const held = async () => {
  // Finalizers run some turns of the loop behind the collection that found them.
  for (let i = 0; i < 5; i += 1) {
    collect();
    await turn();
  }
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    bytes: process.memoryUsage.rss(),
  };
};

const allowance = 2 << 20;

/**
 * Some rounds first, so that caches, pools and the heap have their size; then `rounds` that must change nothing. The
 * allocator may still take a page of its own now and then, but not in each of three passes: a leak is in all of them.
 */
const holdsNothing = (name: string, rounds: number, round: () => unknown) => {
  t.test(`${rounds} rounds: ${name}`, async (t) => {
    const repeat = async (count: number) => {
      for (let i = 0; i < count; i += 1) {
        round();
        if (i % 500 === 499) await turn();
      }
    };
    await repeat(Math.ceil(rounds / 5));
    const grown: number[] = [];
    do {
      const before = await held();
      await repeat(rounds);
      const after = await held();
      t.equal(after.descriptors, before.descriptors, 'descriptors');
      t.ok(after.threads <= before.threads, `threads ${before.threads} -> ${after.threads}`);
      grown.push(after.bytes - before.bytes);
    } while (grown.length < 3 && Math.min(...grown) > allowance);
    t.ok(Math.min(...grown) <= allowance, `bytes grown: ${grown.join(', ')}`);
  });
};

holdsNothing('open, load and close an object', 10_000, () => {
  const object = addon.openObject(tiny);
  object.map('shared').update(u32(0), u64(1));
  object.close();
});

holdsNothing('a load that the verifier refuses', 1000, () =>
  thrownBy(() => addon.openObject(refused)),
);

holdsNothing('create and close a map', 10_000, () => {
  addon.createMap(array).close();
});

holdsNothing('create a map and let the collector close it', 2000, () => addon.createMap(array));

holdsNothing('map an array into memory', 10_000, () => {
  const map = addon.createMap(array);
  map.mmap();
  map.close();
});

holdsNothing('records read and written in batches', 2000, () => {
  const map = addon.createMap(array);
  map.updateBatch(u32(0, 1, 2), u64(0, 1, 2));
  map.dump();
  map.close();
});

holdsNothing('work in another namespace', 10_000, () => addon.ifindexByName('a0', a.path));

t.test('with programs', async () => {
  const object = addon.openObject(hooks);
  t.teardown(() => {
    object.close();
  });
  const programFd = object.programFd('first');

  holdsNothing('attach, detach and close an XDP link', 50, () => {
    const link = addon.attachXdp({ programFd, ifindex, netns: a.path, mode: 'native' });
    link.detach();
    link.close();
  });

  const tc = { ifindex, netns: a.path, priority: 1, handle: 1 };
  holdsNothing('attach and detach at tc', 2000, () => {
    addon.attachTc({ ...tc, programFd: object.programFd('tc_pass') });
    addon.detachTc(tc);
  });

  holdsNothing('open and close a ring buffer', 2000, () => {
    addon.openRingBuffer(object.map('events'), () => undefined).close();
  });

  holdsNothing('test runs', 10_000, () => object.testRun('first', new Uint8Array(1500)));
});
