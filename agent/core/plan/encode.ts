// SPDX-License-Identifier: Apache-2.0
// Records of the maps, packed and unpacked by the generated layout.

export type Kind = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32';
export interface Field {
  readonly offset: number;
  readonly kind: Kind;
  readonly count: number;
}
export interface StructLayout {
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

/** u64 is a bigint, other scalars are numbers in host order, arrays are their raw bytes. */
type FieldValue<F extends Field> = F extends { count: 1 }
  ? F extends { kind: 'u64' }
    ? bigint
    : number
  : Uint8Array;
export type StructValues<L extends StructLayout> = {
  -readonly [Name in keyof L['fields']]: FieldValue<L['fields'][Name]>;
};

export const WIDTH = { u8: 1, u16: 2, u32: 4, u64: 8, be16: 2, be32: 4 } as const;
/** Host order of the machines that we build for (x86-64 and arm64). */
const LITTLE_ENDIAN = true;

const write = (view: DataView, field: Field, value: number | bigint): void => {
  switch (field.kind) {
    case 'u8':
      view.setUint8(field.offset, Number(value));
      return;
    case 'u16':
    case 'be16':
      view.setUint16(field.offset, Number(value), field.kind === 'u16' && LITTLE_ENDIAN);
      return;
    case 'u32':
    case 'be32':
      view.setUint32(field.offset, Number(value), field.kind === 'u32' && LITTLE_ENDIAN);
      return;
    case 'u64':
      view.setBigUint64(field.offset, BigInt(value), LITTLE_ENDIAN);
  }
};

const read = (view: DataView, field: Field): number | bigint => {
  switch (field.kind) {
    case 'u8':
      return view.getUint8(field.offset);
    case 'u16':
    case 'be16':
      return view.getUint16(field.offset, field.kind === 'u16' && LITTLE_ENDIAN);
    case 'u32':
    case 'be32':
      return view.getUint32(field.offset, field.kind === 'u32' && LITTLE_ENDIAN);
    case 'u64':
      return view.getBigUint64(field.offset, LITTLE_ENDIAN);
  }
};

/** One record; absent fields are zero. Throws RangeError when an array has another length than the layout's. */
export const pack = <L extends StructLayout>(
  layout: L,
  values: Partial<StructValues<L>>,
): Uint8Array => {
  const bytes = new Uint8Array(layout.size);
  const view = new DataView(bytes.buffer);
  for (const [name, field] of Object.entries(layout.fields)) {
    const value = (values as Readonly<Record<string, number | bigint | Uint8Array | undefined>>)[
      name
    ];
    if (value === undefined) continue;
    if (!(value instanceof Uint8Array)) {
      write(view, field, value);
      continue;
    }
    if (value.length !== WIDTH[field.kind] * field.count)
      throw new RangeError(`${name} has ${value.length} bytes`);
    bytes.set(value, field.offset);
  }
  return bytes;
};

/** The record that starts at `start`. Arrays are copies. */
export const unpack = <L extends StructLayout>(
  layout: L,
  bytes: Uint8Array,
  start = 0,
): StructValues<L> => {
  const record = bytes.subarray(start, start + layout.size);
  const view = new DataView(record.buffer, record.byteOffset, layout.size);
  const values = Object.entries(layout.fields).map(([name, field]) => [
    name,
    field.count === 1
      ? read(view, field)
      : record.slice(field.offset, field.offset + WIDTH[field.kind] * field.count),
  ]);
  return Object.fromEntries(values) as StructValues<L>;
};

/** Key of an ARRAY map. */
export const packIndex = (index: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, index, LITTLE_ENDIAN);
  return bytes;
};

/** `count` records laid end to end, as the batch calls want them. */
export const concatRecords = (records: readonly Uint8Array[]): Uint8Array => {
  const size = records[0]?.length ?? 0;
  const bytes = new Uint8Array(size * records.length);
  records.forEach((record, index) => {
    bytes.set(record, index * size);
  });
  return bytes;
};
