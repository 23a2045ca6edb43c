// SPDX-License-Identifier: Apache-2.0
// Records of a BPF ring buffer on Node's loop.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { addon } from '../../native/index.js';
import { run, until } from '../support/run.js';
import { compile, thrownBy } from './support.js';

const path = await compile(t, 'hooks');
const loopback = addon.ifindexByName('lo', null);

const open = (t: Test) => {
  const object = addon.openObject(path);
  t.teardown(() => {
    object.close();
  });
  const tell = (repeat: number) =>
    object.testRun('tell', new Uint8Array(64), { repeat, ingressIfindex: loopback });
  return { object, tell };
};

t.test(
  'delivers every record once, in order, several per callback and none too many',
  async (t) => {
    const { object, tell } = open(t);
    const numbers: number[] = [];
    const batches: number[] = [];
    const shapes = new Set<string>();
    const ring = addon.openRingBuffer(object.map('events'), (records) => {
      batches.push(records.length);
      for (const record of records) {
        const view = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
        numbers.push(Number(view.readBigUInt64LE(0)));
        shapes.add(`${record.length} bytes from interface ${view.readUInt32LE(8)}`);
      }
    });
    tell(5000);
    t.equal(numbers.length, 0, 'never inside another call');
    await until('all records', async () => numbers.length === 5000);
    tell(1);
    await until('one more', async () => numbers.length === 5001);
    t.strictSame(
      numbers,
      Array.from({ length: 5001 }, (_, i) => i),
    );
    t.strictSame([...shapes], [`16 bytes from interface ${loopback}`]);
    t.ok(Math.max(...batches) <= 1024 && batches.length < 20, batches.join(' '));
    ring.close();
    ring.close();
    tell(10);
    await sleep(50);
    t.equal(numbers.length, 5001, 'nothing after close');
  },
);

t.test('delivers what was written before it was opened', async (t) => {
  const { object, tell } = open(t);
  tell(7);
  let count = 0;
  const ring = addon.openRingBuffer(object.map('events'), (records) => (count += records.length));
  await until('the records', async () => count === 7);
  ring.close();
});

t.test('may be closed by its own callback', async (t) => {
  const { object, tell } = open(t);
  let calls = 0;
  const ring = addon.openRingBuffer(object.map('events'), () => {
    calls += 1;
    ring.close();
  });
  tell(3000);
  await until('the first call', async () => calls > 0);
  await sleep(50);
  t.equal(calls, 1);
});

t.test('goes on when the object it came from is closed', async () => {
  const object = addon.openObject(path);
  let count = 0;
  const ring = addon.openRingBuffer(object.map('events'), (records) => (count += records.length));
  object.testRun('tell', new Uint8Array(64), { ingressIfindex: loopback });
  object.close();
  await until('the record', async () => count === 1);
  ring.close();
});

t.test('a callback that throws is an uncaught exception, and delivery goes on', async (t) => {
  const { object, tell } = open(t);
  const caught: unknown[] = [];
  const listener = (error: unknown) => caught.push(error);
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', listener);
  t.teardown(() => {
    process.removeListener('uncaughtException', listener);
    for (const each of before) process.on('uncaughtException', each);
  });
  let calls = 0;
  const ring = addon.openRingBuffer(object.map('events'), () => {
    calls += 1;
    if (calls === 1) throw new Error('of the callback');
  });
  tell(1);
  await until('the exception', async () => caught.length === 1);
  t.match(caught[0], { message: 'of the callback' });
  tell(1);
  await until('the next call', async () => calls === 2);
  ring.close();
});

t.test('does not keep the process alive', async (t) => {
  const library = join(import.meta.dirname, '../../native/build/Release/amphora_xdp.node');
  const script = `
    const addon = require(${JSON.stringify(library)});
    const object = addon.openObject(${JSON.stringify(path)});
    addon.openRingBuffer(object.map('events'), () => {});
    console.log('open');`;
  const output = await run(process.execPath, ['-e', script], { timeoutMs: 5000 });
  t.equal(output, 'open\n');
});

t.test('ends with its worker', async (t) => {
  const library = join(import.meta.dirname, '../../native/build/Release/amphora_xdp.node');
  const script = `
    const { Worker } = require('node:worker_threads');
    const body = \`
      const addon = require(${JSON.stringify(library)});
      const object = addon.openObject(${JSON.stringify(path)});
      addon.openRingBuffer(object.map('events'), () => {});
      addon.setLog(() => {});
      object.testRun('tell', new Uint8Array(64), { repeat: 100 });\`;
    new Worker(body, { eval: true }).on('exit', (code) => console.log('worker', code));`;
  const output = await run(process.execPath, ['-e', script], { timeoutMs: 10_000 });
  t.equal(output, 'worker 0\n');
});

t.test('refuses a map that is no ring buffer, and what is no callback', async (t) => {
  const { object } = open(t);
  t.match(
    thrownBy(() => addon.openRingBuffer(object.map('counts'), () => undefined)),
    {
      code: 'EINVAL',
      tried: 'ring_buffer__new counts',
    },
  );
  const openWith = (callback: unknown) =>
    addon.openRingBuffer(object.map('events'), callback as () => void);
  t.throws(() => openWith(null), TypeError);
});

t.test('leaves records in the ring while paused', async (t) => {
  const { object, tell } = open(t);
  let count = 0;
  const ring = addon.openRingBuffer(object.map('events'), (records) => {
    count += records.length;
    ring.pause();
  });
  tell(3000);
  await until('the first delivery', async () => count > 0);
  const first = count;
  tell(5);
  await sleep(50);
  t.equal(count, first, 'nothing while paused');
  for (let turn = 1; turn <= 3; turn++) {
    const before = count;
    ring.resume();
    await until('one more delivery', async () => count > before || count === 3005);
  }
  t.equal(count, 3005, 'everything in the end');
  ring.close();
  ring.pause();
  ring.resume();
});
