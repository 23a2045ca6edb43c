// SPDX-License-Identifier: Apache-2.0
// The generated layout is that of layout.h, and records are packed by it.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { concatRecords, pack, packIndex, unpack } from '../../agent/core/plan/encode.js';
import { structs } from '../../agent/core/plan/layout.gen.js';
import { layoutText, readLayoutBtf, renderLayout } from '../../bpf/gen-layout.js';

t.test('the committed layout is the one that layout.h compiles to', async (t) => {
  const header = layoutText('bpf/layout.h');
  const btf = readLayoutBtf('bpf/layout.h', t.testdir());
  t.equal(
    readFileSync('agent/core/plan/layout.gen.ts', 'utf8'),
    await renderLayout(btf, header),
    'run `make layout`',
  );
});

t.test('a service key is packed in network order and without gaps', (t) => {
  const vip = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
  const key = pack(structs.service_key, { vip, port: 443, protocol: 6 });
  t.equal(Buffer.from(key).toString('hex'), '00000000000000000000ffffc000020101bb0600');
  t.strictSame(unpack(structs.service_key, key), { vip, port: 443, protocol: 6, reserved: 0 });
  t.end();
});

t.test('scalars of every kind survive the round trip', (t) => {
  const flow = pack(structs.flow4, {
    new_sport: 65535,
    ip_delta: 0x1234,
    stamp: 0xfffffff0,
    bytes: 2n ** 63n,
    dmac: Uint8Array.from([1, 2, 3, 4, 5, 6]),
  });
  t.equal(flow[structs.flow4.fields.ip_delta.offset], 0x34, 'host order');
  const values = unpack(structs.flow4, concatRecords([new Uint8Array(64), flow]), 64);
  t.equal(values.new_sport, 65535);
  t.equal(values.ip_delta, 0x1234);
  t.equal(values.stamp, 0xfffffff0);
  t.equal(values.bytes, 2n ** 63n);
  t.strictSame([...values.dmac], [1, 2, 3, 4, 5, 6]);
  const key = pack(structs.allowed_key, { listener: 258, prefixlen: 258 });
  t.equal(Buffer.from(key.subarray(0, 8)).toString('hex'), '0201000000000102');
  t.equal(unpack(structs.allowed_key, key).listener, 258);
  t.end();
});

t.test('an array of the wrong length is refused', (t) => {
  t.throws(() => pack(structs.member, { address: new Uint8Array(4) }), RangeError);
  t.end();
});

t.test('indexes and batches', (t) => {
  t.strictSame([...packIndex(258)], [2, 1, 0, 0]);
  t.strictSame([...concatRecords([packIndex(1), packIndex(2)])], [1, 0, 0, 0, 2, 0, 0, 0]);
  t.equal(concatRecords([]).length, 0);
  t.end();
});
