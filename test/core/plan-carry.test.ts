// SPDX-License-Identifier: Apache-2.0
// Records of one layout become those of another by the names of their fields, or it is said why not.
import t from 'tap';
import {
  convertRecords,
  CURRENT_LAYOUT,
  type LayoutDescription,
  parseLayout,
  planCarriage,
  planConversion,
} from '../../agent/core/plan/carry.js';
import type { StructLayout } from '../../agent/core/plan/encode.js';
import { structs } from '../../agent/core/plan/layout.gen.js';

const field = (
  offset: number,
  kind: 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32',
  count = 1,
) => ({
  offset,
  kind,
  count,
});
const struct = (size: number, fields: StructLayout['fields']): StructLayout => ({ size, fields });

/** The current layout with other structs. */
const changed = (others: Readonly<Record<string, StructLayout>>): LayoutDescription => ({
  ...CURRENT_LAYOUT,
  structs: { ...CURRENT_LAYOUT.structs, ...others },
});

t.test('the same layout is one move', (t) => {
  const { size } = structs.flow4;
  t.strictSame(planConversion(structs.flow4, structs.flow4), {
    ...{ fromSize: size, toSize: size, moves: [{ from: 0, to: 0, length: size }] },
  });
  t.end();
});

t.test('fields move, grow, come and go', (t) => {
  const from = struct(16, {
    gone: field(0, 'u32'),
    small: field(4, 'u16'),
    address: field(8, 'be32', 2),
  });
  const to = struct(24, {
    address: field(0, 'be32', 2),
    come: field(8, 'u64'),
    small: field(16, 'u64'),
  });
  const how = planConversion(from, to);
  if (typeof how === 'string') throw new Error(how);
  const record = (small: number, address: number): Buffer => {
    const bytes = Buffer.from([7, 7, 7, 7, 0, 0, 9, 9, address, 0, 0, 1, 0, 0, 0, 2]);
    bytes.writeUInt16LE(small, 4);
    return bytes;
  };
  const converted = convertRecords(how, Buffer.concat([record(65_535, 10), record(2, 192)]), 2);
  t.equal(converted.length, 48);
  const text = Buffer.from(converted).toString('hex');
  t.equal(text.slice(0, 48), '0a00000100000002' + '0000000000000000' + 'ffff000000000000');
  t.equal(text.slice(48), 'c000000100000002' + '0000000000000000' + '0200000000000000');
  t.end();
});

t.test('values of several CPUs begin every eight bytes', (t) => {
  const from = struct(4, { count: field(0, 'u32') });
  const to = struct(12, { other: field(0, 'u64'), count: field(8, 'u32') });
  const how = planConversion(from, to);
  if (typeof how === 'string') throw new Error(how);
  const bytes = Uint8Array.of(1, 0, 0, 0, 9, 9, 9, 9, 2, 0, 0, 0, 9, 9, 9, 9);
  const converted = Buffer.from(convertRecords(how, bytes, 2, { from: 8, to: 16 }));
  t.equal(converted.length, 32);
  t.equal(converted.readUInt32LE(8), 1);
  t.equal(converted.readUInt32LE(24), 2);
  t.end();
});

t.test('what cannot keep its meaning is refused by name', (t) => {
  const wide = struct(8, {
    count: field(0, 'u64'),
    port: field(0, 'be16'),
    words: field(0, 'u8', 6),
  });
  const refusals = [
    [{ count: field(0, 'u32') }, /count became narrower/],
    [{ port: field(0, 'u16') }, /port changed its byte order/],
    [{ port: field(0, 'be32') }, /port became narrower/],
    [{ words: field(0, 'u8', 5) }, /words became shorter/],
  ] as const;
  for (const [fields, reason] of refusals) t.match(planConversion(wide, struct(8, fields)), reason);
  const spare = struct(8, { spare: field(0, 'u32', 2) });
  t.match(planConversion(spare, struct(8, { spare: field(0, 'u32') })), { moves: [] });
  t.end();
});

t.test('a map is carried with its key and its value', (t) => {
  const flow4 = struct(72, { ...structs.flow4.fields, colour: field(64, 'u64') });
  const how = planCarriage('flows4', changed({ flow4 }));
  t.match(how, { key: { fromSize: 16, toSize: 16 }, value: { fromSize: 72, toSize: 64 } });
  t.match(planCarriage('reasons', CURRENT_LAYOUT), { key: { toSize: 4 }, value: { toSize: 8 } });
  t.end();
});

t.test('a map is not carried where that would mix things up', (t) => {
  const wider = struct(20, { ...structs.flow_key4.fields, zone: field(16, 'u32') });
  t.match(planCarriage('flows4', changed({ flow_key4: wider })), /key has lost a field/);
  t.match(planCarriage('flows4', { ...CURRENT_LAYOUT, version: 0 }), /version 0 .* than 1/);
  t.match(planCarriage('nothing', CURRENT_LAYOUT), /lacks the map/);
  t.match(planCarriage('pool_slots', CURRENT_LAYOUT), /lacks the map/, 'a map of maps');
  t.match(planCarriage('flows4', { ...CURRENT_LAYOUT, maps: {} }), /lacks the map/);
  t.end();
});

t.test('a description survives the file, and nothing else is taken for one', (t) => {
  const text = JSON.stringify(CURRENT_LAYOUT);
  t.strictSame(parseLayout(text), JSON.parse(text));
  const others = [
    '',
    'null',
    '[]',
    '{}',
    text.slice(0, -1),
    JSON.stringify({ ...CURRENT_LAYOUT, version: '1' }),
    JSON.stringify({ ...CURRENT_LAYOUT, maps: [] }),
    JSON.stringify({ ...CURRENT_LAYOUT, maps: { flows4: { key: 1, value: null } } }),
    JSON.stringify(changed({ flow4: struct(8, { far: field(8, 'u8') }) })),
    JSON.stringify(changed({ flow4: struct(8, { odd: field(-1, 'u8') }) })),
    text.replaceAll('"u64"', '"u128"'),
    JSON.stringify({ ...CURRENT_LAYOUT, structs: { flow4: null } }),
  ];
  for (const other of others) t.equal(parseLayout(other), null, other.slice(0, 40));
  t.end();
});
