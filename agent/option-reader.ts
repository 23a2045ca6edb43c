// SPDX-License-Identifier: Apache-2.0
// Typed options out of an oslo INI file; one with an impossible value throws and names itself.
import type { IniFile } from './core/oslo-ini.js';

export type OptionReader = ReturnType<typeof optionReader>;

/** An empty value counts as none. Ranges are inclusive. */
export const optionReader = (ini: IniFile) => {
  const raw = (section: string, name: string): string | undefined => {
    const value = ini.get(section)?.get(name);
    return value === undefined || value === '' ? undefined : substitute(ini, section, value);
  };
  // Without the value: a broken line may have drawn a key into it, and this text is logged.
  const complain = (section: string, name: string, wanted: string): never => {
    throw new Error(`[${section}] ${name}: ${wanted} expected`);
  };
  const whole = (
    section: string,
    name: string,
    range: readonly [number, number],
  ): number | null => {
    const value = raw(section, name);
    if (value === undefined) return null;
    const number = Number(value);
    const fits = Number.isInteger(number) && number >= range[0] && number <= range[1];
    return fits ? number : complain(section, name, `a number from ${range[0]} to ${range[1]}`);
  };
  return {
    names: (section: string): string[] => [...(ini.get(section)?.keys() ?? [])],
    text: (section: string, name: string, fallback: string): string =>
      raw(section, name) ?? fallback,
    optional: (section: string, name: string): string | null => raw(section, name) ?? null,
    list: (section: string, name: string): string[] =>
      (raw(section, name) ?? '')
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    flag: (section: string, name: string, fallback: boolean): boolean => {
      const value = raw(section, name);
      if (value === undefined) return fallback;
      if (/^(true|yes|on|1)$/i.test(value)) return true;
      return /^(false|no|off|0)$/i.test(value) ? false : complain(section, name, 'a boolean');
    },
    number: (
      section: string,
      name: string,
      fallback: number,
      range: readonly [number, number],
    ): number => whole(section, name, range) ?? fallback,
    size: (section: string, name: string): number | null => whole(section, name, [1, 0x7fffffff]),
    /** The first choice is the default. */
    choice: <const Choice extends string>(
      section: string,
      name: string,
      choices: readonly [Choice, ...Choice[]],
    ): Choice => {
      const value = raw(section, name);
      if (value === undefined) return choices[0];
      const found = choices.find((choice) => choice === value);
      return found ?? complain(section, name, `one of ${choices.join(', ')}`);
    },
  };
};

/** `$name`, `${name}` and `${section.name}` as oslo puts them in; `$$` is a dollar; anything else stays. */
const substitute = (ini: IniFile, section: string, value: string): string =>
  value.replaceAll(/\$\$|\$\{(?:(\w+)\.)?(\w+)\}|\$(\w+)/g, (match, group, braced, bare) => {
    if (match === '$$') return '$';
    const name = String(braced ?? bare);
    const found = ini.get(group === undefined ? section : String(group))?.get(name);
    return found ?? ini.get('DEFAULT')?.get(name) ?? match;
  });
