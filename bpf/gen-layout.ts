// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BTF of layout.h and maps.h -> agent/core/plan/layout.gen.ts, so that nobody types an offset.
// Run by `make layout`; a test compares the committed file with a fresh one.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format } from 'prettier';

interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly nr_elems?: number;
  readonly members?: readonly { name: string; type_id: number; bits_offset: number }[];
  readonly values?: readonly { name: string; val: number }[];
}

interface Field {
  readonly offset: number;
  readonly kind: string;
  readonly count: number;
}

const KINDS: Readonly<Record<string, string>> = {
  __u8: 'u8',
  __u16: 'u16',
  __u32: 'u32',
  __u64: 'u64',
  __be16: 'be16',
  __be32: 'be32',
};

/** The header's text with that of its parts in their places. */
export const layoutText = (headerPath: string): string =>
  readFileSync(headerPath, 'utf8').replaceAll(/^#include "(.+)"$/gm, (_line, name: string) =>
    // each part asks for the first one again
    name === 'layout_control.h' && !headerPath.endsWith('/layout.h')
      ? ''
      : layoutText(join(dirname(headerPath), name)),
  );

const names = (header: string, pattern: RegExp): string[] =>
  [...header.matchAll(pattern)].flatMap((match) => match[1] ?? []);

const structNames = (header: string): string[] => names(header, /^struct (\w+) \{/gm);
const enumNames = (header: string): string[] => names(header, /^enum (\w+) \{/gm);

/** C source with one variable of each struct and enum of the header: only what is used gets into BTF. */
export const layoutProbe = (header: string): string =>
  [
    '#include "maps.h"',
    ...structNames(header).map((name) => `struct ${name} probe_${name};`),
    ...enumNames(header).map((name) => `enum ${name} probe_enum_${name};`),
    '',
  ].join('\n');

/** Compiles the probe below `workDirectory` and returns its BTF as `bpftool btf dump -j file` prints it. */
export const readLayoutBtf = (headerPath: string, workDirectory: string): string => {
  mkdirSync(workDirectory, { recursive: true });
  const source = join(workDirectory, 'layout-probe.c');
  const object = join(workDirectory, 'layout-probe.o');
  writeFileSync(source, layoutProbe(layoutText(headerPath)));
  const machine = execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim();
  const include = [`-I/usr/include/${machine}-linux-gnu`, `-I${dirname(headerPath)}`];
  execFileSync('clang', ['-target', 'bpf', '-g', '-O2', ...include, '-c', source, '-o', object]);
  return execFileSync('bpftool', ['btf', 'dump', '-j', 'file', object], { encoding: 'utf8' });
};

const fieldOf = (types: ReadonlyMap<number, BtfType>, id: number): Omit<Field, 'offset'> => {
  const type = types.get(id);
  if (type === undefined) throw new Error(`BTF lacks type ${id}`);
  const kind = KINDS[type.name];
  if (kind !== undefined) return { kind, count: 1 };
  if (type.kind === 'ARRAY' && type.type_id !== undefined && type.nr_elems !== undefined)
    return { kind: fieldOf(types, type.type_id).kind, count: type.nr_elems };
  // An address is a struct around one array: it takes the name of the field that holds it.
  const inner = type.members?.[0];
  if (type.kind === 'STRUCT' && type.members?.length === 1 && inner !== undefined)
    return fieldOf(types, inner.type_id);
  throw new Error(`layout.h uses a type without a rule: ${type.kind} ${type.name}`);
};

const structOf = (types: ReadonlyMap<number, BtfType>, struct: BtfType): unknown => ({
  size: struct.size,
  fields: Object.fromEntries(
    (struct.members ?? []).map((member) => [
      member.name,
      { offset: member.bits_offset / 8, ...fieldOf(types, member.type_id) },
    ]),
  ),
});

/** An attribute of a map is the length of an array that its field points to. */
const attributeOf = (types: ReadonlyMap<number, BtfType>, map: BtfType, name: string): number => {
  const field = map.members?.find((member) => member.name === name);
  const array = field === undefined ? undefined : pointee(types, field.type_id);
  return array?.nr_elems ?? 0;
};

const pointee = (types: ReadonlyMap<number, BtfType>, id: number): BtfType | undefined =>
  types.get(types.get(id)?.type_id ?? 0);

/** Type, flags, and the names of what key and value are; null where the map has no such field. */
const mapOf = (types: ReadonlyMap<number, BtfType>, map: BtfType): unknown => {
  const nameOf = (name: string): string | null => {
    const field = map.members?.find((member) => member.name === name);
    const type = field === undefined ? undefined : pointee(types, field.type_id);
    return type === undefined ? null : (KINDS[type.name] ?? type.name);
  };
  return {
    type: attributeOf(types, map, 'type'),
    flags: attributeOf(types, map, 'map_flags'),
    key: nameOf('key'),
    value: nameOf('value'),
  };
};

/** The variables that are maps, by name. */
const mapsOf = (types: ReadonlyMap<number, BtfType>): [string, unknown][] =>
  [...types.values()].flatMap((variable): [string, unknown][] => {
    const map = variable.kind === 'VAR' ? types.get(variable.type_id ?? 0) : undefined;
    const isMap = map?.members?.some(({ name }) => name === 'max_entries') === true;
    return isMap ? [[variable.name, mapOf(types, map)]] : [];
  });

const macros = (header: string): Record<string, number> =>
  Object.fromEntries(
    [...header.matchAll(/^#define (\w+) (0x[0-9a-f]+|\d+)\b/gm)].map((match) => [
      match[1] ?? '',
      Number(match[2]),
    ]),
  );

const pick = (types: Iterable<BtfType>, kind: string, wanted: readonly string[]): BtfType[] => {
  const found = new Map([...types].filter((t) => t.kind === kind).map((t) => [t.name, t]));
  return wanted.map((name) => {
    const type = found.get(name);
    if (type === undefined) throw new Error(`BTF lacks ${kind.toLowerCase()} ${name}`);
    return type;
  });
};

/** The generated module's text, formatted as the repository wants it. */
export const renderLayout = async (btf: string, header: string): Promise<string> => {
  const parsed = JSON.parse(btf) as { types: readonly BtfType[] };
  const types = new Map(parsed.types.map((type) => [type.id, type]));
  const structs = pick(types.values(), 'STRUCT', structNames(header));
  const enums = pick(types.values(), 'ENUM', enumNames(header));
  const render = (name: string, value: unknown): string =>
    `export const ${name} = ${JSON.stringify(value)} as const;\n`;
  const text = [
    '// SPDX-License-Identifier: Apache-2.0\n',
    '// Generated by bpf/gen-layout.ts from the BTF of bpf/layout.h (`make layout`). Do not edit.\n\n',
    render('constants', macros(header)),
    '\n/** Sizes and offsets in bytes; be16 and be32 are in network order, others in host order. */\n',
    render('structs', Object.fromEntries(structs.map((s) => [s.name, structOf(types, s)]))),
    '\n/** Each map: kernel type and flags, kind or struct of key and value. */\n',
    render('maps', Object.fromEntries(mapsOf(types))),
    '\n',
    render(
      'enums',
      Object.fromEntries(
        enums.map((e) => [
          e.name,
          Object.fromEntries((e.values ?? []).map((v) => [v.name, v.val])),
        ]),
      ),
    ),
  ].join('');
  return format(text, { parser: 'typescript', singleQuote: true, printWidth: 100 });
};

const main = async (): Promise<void> => {
  const header = join('bpf', 'layout.h');
  const btf = readLayoutBtf(header, join('build', 'layout'));
  const text = await renderLayout(btf, layoutText(header));
  writeFileSync(join('agent', 'core', 'plan', 'layout.gen.ts'), text);
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
