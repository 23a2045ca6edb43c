// SPDX-License-Identifier: Apache-2.0
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import t from 'tap';
import {
  buildHeartbeat,
  type Heartbeat,
  MAX_DATAGRAM_BYTES,
  sealHeartbeat,
  withoutMembers,
} from '../../agent/core/report/heartbeat.js';

const input = {
  amphoraId: 'amphora',
  seq: 7,
  listenerIds: ['a', 'b'],
  deltas: new Map([['a', { bin: 1, bout: 2, ereq: 3, stot: 4 }]]),
  open: new Map([['a', 5]]),
  pools: new Map([['p:a', { status: 'UP', members: { m: 'UP' } } as const]]),
};

t.test('the document has every field that the controller reads', async (t) => {
  t.strictSame(buildHeartbeat(input), {
    id: 'amphora',
    seq: 7,
    listeners: {
      a: { status: 'OPEN', stats: { tx: 2, rx: 1, conns: 5, totconns: 4, ereq: 3 } },
      b: { status: 'OPEN', stats: { tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0 } },
    },
    pools: { 'p:a': { status: 'UP', members: { m: 'UP' } } },
    ver: 3,
  });
});

t.test('listeners and pools are there when there are none', async (t) => {
  const empty = { ...input, listenerIds: [], pools: new Map() };
  const { listeners, pools } = buildHeartbeat(empty);
  t.strictSame({ listeners, pools }, { listeners: {}, pools: {} });
});

t.test('more connections than a column of 32 bits holds are cut to it', async (t) => {
  const { listeners } = buildHeartbeat({ ...input, open: new Map([['a', 2 ** 40]]) });
  t.equal(listeners['a']?.stats.conns, 2 ** 31 - 1);
});

t.test('an id that JavaScript has other uses for is an id', async (t) => {
  const message = buildHeartbeat({ ...input, listenerIds: ['__proto__', 'constructor'] });
  t.match(JSON.stringify(message), /"__proto__":\{"status":"OPEN".*"constructor":\{"status"/);
});

t.test('the recorded datagram is signed as recorded', async (t) => {
  const payload = Buffer.from(
    '78daab56ca4c51b252504a54d251502a4e2d04b20d80ac9ccce292d4bcd4a26220bfba162850909f' +
      '9f03e794a5160199c6b500121011a0',
    'hex',
  );
  const document = { id: 'a', seq: 0, listeners: {}, pools: {}, ver: 3 } as const;
  t.same(JSON.parse(inflateSync(payload).toString()), document);
  t.equal(
    createHmac('sha256', 'key').update(payload).digest('hex'),
    '9fa888cf384000a7245cf31735f58f9e4b55e25f6d57a012a236053def63d855',
  );
  // ours: other spaces, so another stream, by the same rules
  const sealed = sealHeartbeat(document, 'key');
  const [stream, signature] = [sealed.subarray(0, -64), sealed.subarray(-64)];
  t.equal(stream.subarray(0, 2).toString('hex'), '78da', 'zlib, best compression');
  t.equal(inflateSync(stream).toString(), JSON.stringify(document));
  t.equal(
    signature.toString('ascii'),
    createHmac('sha256', 'key').update(stream).digest('hex'),
    '64 lower-case hexadecimal digits over the compressed bytes',
  );
});

t.test('a key is its UTF-8 bytes', async (t) => {
  const message = buildHeartbeat(input);
  const sealed = sealHeartbeat(message, 'schlüssel');
  const bytes = Buffer.from('7363686cc3bc7373656c', 'hex');
  const wanted = createHmac('sha256', bytes).update(sealed.subarray(0, -64)).digest('hex');
  t.equal(sealed.subarray(-64).toString(), wanted);
});

/** Ids as random as Octavia's, and the same in each run. */
const uuid = (name: string): string => {
  const hex = createHash('md5').update(name).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
};

const large = (listeners: number, members: number): Heartbeat =>
  buildHeartbeat({
    ...input,
    amphoraId: randomUUID(),
    listenerIds: Array.from({ length: listeners }, (_, i) => uuid(`listener ${i}`)),
    pools: new Map(
      Array.from({ length: listeners }, (_, i) => [
        `${uuid(`pool ${i}`)}:${uuid(`listener ${i}`)}`,
        {
          status: 'UP',
          members: Object.fromEntries(
            Array.from({ length: members }, (_, m) => [uuid(`member ${i} ${m}`), 'UP']),
          ),
        },
      ]),
    ),
  });

t.test('50 listeners of 50 members fit a datagram whole', async (t) => {
  const sealed = sealHeartbeat(large(50, 50), 'key');
  t.ok(sealed.length <= MAX_DATAGRAM_BYTES, `${sealed.length} bytes`);
});

t.test('what does not fit is sent without members, and then fits', async (t) => {
  const message = large(200, 100);
  t.ok(sealHeartbeat(message, 'key').length > MAX_DATAGRAM_BYTES);
  const smaller = withoutMembers(message);
  t.ok(sealHeartbeat(smaller, 'key').length <= MAX_DATAGRAM_BYTES);
  t.same(Object.keys(smaller.listeners), Object.keys(message.listeners));
  t.same(Object.keys(smaller.pools), Object.keys(message.pools));
});
