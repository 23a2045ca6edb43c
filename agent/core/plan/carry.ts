// SPDX-License-Identifier: Apache-2.0
// Records of one layout -> records of another, field by field, by name. What LAYOUT_VERSION shares has kept its meaning.
import type { Field, Kind, StructLayout } from './encode.js';
import { WIDTH } from './encode.js';
import { constants, maps, structs } from './layout.gen.js';

interface MapLayout {
  readonly key: string | null;
  readonly value: string | null;
}

/** What a layout says of itself, as an agent leaves it for the next one. */
export interface LayoutDescription {
  readonly version: number;
  readonly structs: Readonly<Record<string, StructLayout>>;
  readonly maps: Readonly<Record<string, MapLayout>>;
}

export const CURRENT_LAYOUT: LayoutDescription = {
  version: constants.LAYOUT_VERSION,
  structs,
  maps,
};

/** Null unless the text describes a layout: of a version, with structs whose fields lie within them. */
export const parseLayout = (text: string): LayoutDescription | null => {
  try {
    const parsed: unknown = JSON.parse(text);
    return isLayout(parsed) ? parsed : null;
  } catch {
    return null;
  }
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;
const isName = (value: unknown): boolean => value === null || typeof value === 'string';

const isLayout = (value: unknown): value is LayoutDescription =>
  isRecord(value) &&
  isCount(value['version']) &&
  isRecord(value['structs']) &&
  Object.values(value['structs']).every(isStruct) &&
  isRecord(value['maps']) &&
  Object.values(value['maps']).every(
    (map) => isRecord(map) && isName(map['key']) && isName(map['value']),
  );

const isStruct = (value: unknown): boolean => {
  if (!isRecord(value) || !isRecord(value['fields'])) return false;
  const { size } = value;
  return isCount(size) && Object.values(value['fields']).every((field) => isField(field, size));
};

const isField = (value: unknown, size: number): boolean => {
  if (!isRecord(value)) return false;
  const { offset, kind, count } = value;
  if (typeof kind !== 'string' || !isKind(kind) || !isCount(offset) || !isCount(count))
    return false;
  return offset + WIDTH[kind] * count <= size;
};

/** Bytes that go from one place of a record to another. */
interface Move {
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** How a map's records become those of another layout; sizes in bytes, of one value where a map has one per CPU. */
export interface Carriage {
  readonly key: Conversion;
  readonly value: Conversion;
}

export interface Conversion {
  readonly fromSize: number;
  readonly toSize: number;
  readonly moves: readonly Move[];
}

const isKind = (name: string): name is Kind => Object.hasOwn(WIDTH, name);

/** A lone number is a record with one field. */
const layoutOf = (description: LayoutDescription, name: string): StructLayout | undefined =>
  isKind(name)
    ? { size: WIDTH[name], fields: { '': { offset: 0, kind: name, count: 1 } } }
    : description.structs[name];

const isNetworkOrder = (kind: Kind): boolean => kind.startsWith('be');

/** Host order is little endian: a number's low bytes come first, the others of a wider one stay zero. */
const movesOf = (from: Field, to: Field): Move[] | string => {
  const [narrow, wide] = [WIDTH[from.kind], WIDTH[to.kind]];
  if (isNetworkOrder(from.kind) !== isNetworkOrder(to.kind)) return 'changed its byte order';
  if (wide < narrow || (isNetworkOrder(from.kind) && wide !== narrow)) return 'became narrower';
  if (to.count < from.count) return 'became shorter';
  if (wide === narrow) return [{ from: from.offset, to: to.offset, length: narrow * from.count }];
  return Array.from({ length: from.count }, (_, i) => ({
    from: from.offset + i * narrow,
    to: to.offset + i * wide,
    length: narrow,
  }));
};

/** Fields that follow each other in both records go in one piece. */
const joined = (moves: readonly Move[]): Move[] => {
  const whole: Move[] = [];
  for (const move of [...moves].sort((a, b) => a.from - b.from)) {
    const last = whole.at(-1);
    const follows =
      last !== undefined &&
      last.from + last.length === move.from &&
      last.to + last.length === move.to;
    if (follows) whole.splice(-1, 1, { ...last, length: last.length + move.length });
    else whole.push(move);
  }
  return whole;
};

/** Room for later, without a meaning. */
const isSpare = (name: string): boolean => /^(spare|reserved)/.test(name);

/** New fields are zero, fields that are gone are left behind. A string: why the records cannot be carried. */
export const planConversion = (from: StructLayout, to: StructLayout): Conversion | string => {
  const moves: Move[] = [];
  for (const [name, field] of Object.entries(from.fields)) {
    const target = to.fields[name];
    if (target === undefined || isSpare(name)) continue;
    const found = movesOf(field, target);
    if (typeof found === 'string') return `${name} ${found}`;
    moves.push(...found);
  }
  return { fromSize: from.size, toSize: to.size, moves: joined(moves) };
};

/** Two keys that differed must not become one. */
const losesKeys = (from: StructLayout, to: StructLayout): boolean =>
  Object.keys(from.fields).some((name) => !isSpare(name) && !Object.hasOwn(to.fields, name));

/**
 * How the records of one map become those of the map of the same name in the current layout. A string: why not.
 */
export const planCarriage = (
  map: string,
  former: LayoutDescription,
  current: LayoutDescription = CURRENT_LAYOUT,
): Carriage | string => {
  if (former.version !== current.version)
    return `version ${former.version} of the layout means other things than ${current.version}`;
  const [old, now] = [former.maps[map], current.maps[map]];
  const shapes = [
    ...[old?.key, now?.key].map((name, i) => ({ name, description: i === 0 ? former : current })),
    ...[old?.value, now?.value].map((name, i) => ({
      name,
      description: i === 0 ? former : current,
    })),
  ].map(({ name, description }) =>
    typeof name === 'string' ? layoutOf(description, name) : undefined,
  );
  const [oldKey, newKey, oldValue, newValue] = shapes;
  if (!oldKey || !newKey || !oldValue || !newValue) return 'one of the layouts lacks the map';
  if (losesKeys(oldKey, newKey)) return 'the key has lost a field';
  const key = planConversion(oldKey, newKey);
  const value = planConversion(oldValue, newValue);
  if (typeof key === 'string') return key;
  return typeof value === 'string' ? value : { key, value };
};

/** `count` records laid end to end, `strides` bytes from one to the next (a per-CPU value begins every 8 bytes). */
export const convertRecords = (
  { fromSize, toSize, moves }: Conversion,
  bytes: Uint8Array,
  count: number,
  strides: { readonly from: number; readonly to: number } = { from: fromSize, to: toSize },
): Uint8Array => {
  const result = new Uint8Array(strides.to * count);
  for (let i = 0; i < count; i += 1)
    for (const { from, to, length } of moves) {
      const start = i * strides.from + from;
      result.set(bytes.subarray(start, start + length), i * strides.to + to);
    }
  return result;
};
