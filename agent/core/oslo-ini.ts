// SPDX-License-Identifier: Apache-2.0
// The INI dialect of oslo.config. The `ini` package does not speak it: it cuts values at `#` and `;`, which
// the controller's HTML-escaping puts into keys (`&#34;`), and turns words into booleans and arrays.

/** Option values by section and name, in the file's own spelling. */
export type IniFile = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * Reads oslo's dialect: `[section]`, `name = value` or `name: value`, comments only at the start of a line,
 * indented lines continue the value above. The last value of a name wins. Never throws: a line that means
 * nothing is skipped, as unknown options are (contract 6.1), and told to `onStray` by its number from 1.
 */
export const parseOsloIni = (text: string, onStray: (line: number) => void = () => {}): IniFile => {
  const sections = new Map<string, Map<string, string>>();
  let section = sectionOf(sections, 'DEFAULT');
  let name: string | null = null;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || /^[#;]/.test(line)) {
      name = null;
      continue;
    }
    const header = /^\[([^\]]+)\]/.exec(line)?.[1];
    const option = /^([^\s=:[][^=:]*?)\s*[=:]\s*(.*)$/.exec(line);
    if (/^\s/.test(line)) {
      if (name === null) onStray(index + 1);
      else section.set(name, `${section.get(name) ?? ''}\n${line.trim()}`);
    } else if (header !== undefined) {
      section = sectionOf(sections, header);
      name = null;
    } else if (option) {
      name = option[1] ?? '';
      section.set(name, unquote(option[2] ?? ''));
    } else {
      onStray(index + 1);
    }
  }
  return sections;
};

const sectionOf = (
  sections: Map<string, Map<string, string>>,
  name: string,
): Map<string, string> => {
  const section = sections.get(name) ?? new Map<string, string>();
  sections.set(name, section);
  return section;
};

/** oslo takes one pair of equal quotes off. */
const unquote = (value: string): string => {
  const text = value.trim();
  const quoted = text.length > 1 && /^(["']).*\1$/s.test(text);
  return quoted ? text.slice(1, -1) : text;
};
