// SPDX-License-Identifier: Apache-2.0
// HAProxy's lexical rules: words, quotes, escapes, comments; and the sections that lines belong to.
import { ConfigRejected } from './config-rejected.js';
import { splitLines, type ConfigLimits } from './limits.js';

export interface Line {
  /** Counts from 1. */
  readonly number: number;
  /** As uploaded, without its newline. */
  readonly raw: string;
  /** At least one. Quotes and escapes are resolved; HTML escapes are left as they are (contract P36). */
  readonly words: readonly [string, ...string[]];
}

export interface Section {
  readonly kind: SectionKind;
  /** Empty for `global`, and for a `defaults` without a name. */
  readonly name: string;
  /** The line of the keyword. */
  readonly head: Line;
  readonly body: readonly Line[];
}

const sectionKinds = [
  ...['global', 'defaults', 'frontend', 'backend', 'listen', 'peers'],
  ...['resolvers', 'mailers', 'userlist', 'cache', 'http-errors'],
] as const;
export type SectionKind =
  | 'global'
  | 'defaults'
  | 'frontend'
  | 'backend'
  | 'listen'
  | 'peers'
  | 'resolvers'
  | 'mailers'
  | 'userlist'
  | 'cache'
  | 'http-errors';

/** Sections that HAProxy knows and a load balancer has no use for: they run programs or open doors. */
const refusedSections = new Set([
  ...['program', 'ring', 'log-forward', 'log-profile', 'fcgi-app', 'crt-store', 'traces', 'acme'],
]);

/**
 * The sections of a config in their order. Throws ConfigRejected for what HAProxy would read otherwise
 * than we do, for unknown sections, and for a second `global` (contract P38).
 */
export const lexHaproxy = (text: string, limits: ConfigLimits): readonly Section[] => {
  const sections: { kind: SectionKind; name: string; head: Line; body: Line[] }[] = [];
  for (const [i, raw] of splitLines(text, limits).entries()) {
    const line = lexLine(raw, i + 1);
    if (line === null) continue;
    const kind = sectionKind(line);
    if (kind !== null) {
      if (kind === 'global' && sections.some((section) => section.kind === 'global')) {
        throw new ConfigRejected('a second global section', line.number);
      }
      sections.push({ kind, name: line.words[1] ?? '', head: line, body: [] });
      continue;
    }
    const section = sections.at(-1);
    if (section === undefined) {
      throw new ConfigRejected(`"${line.words[0]}" stands before any section`, line.number);
    }
    section.body.push(line);
  }
  return sections;
};

/** The section that a line opens, or null for a directive. HAProxy ignores indentation, so we do too. */
const sectionKind = (line: Line): SectionKind | null => {
  const [word] = line.words;
  const known = sectionKinds.find((kind) => kind === word);
  if (known !== undefined) return known;
  if (refusedSections.has(word)) throw new ConfigRejected(`section "${word}"`, line.number);
  if (word.startsWith('.')) {
    throw new ConfigRejected(`conditional block "${word}"`, line.number);
  }
  // Controllers indent every directive (contract 4.2).
  if (!/^[ \t]/.test(line.raw)) throw new ConfigRejected(`unknown section "${word}"`, line.number);
  return null;
};

const lexLine = (raw: string, number: number): Line | null => {
  const [first, ...rest] = splitWords(raw, number);
  return first === undefined ? null : { number, raw, words: [first, ...rest] };
};

/** HAProxy's parse_line(): blanks separate, `#` ends, backslash escapes, single and double quotes. */
const splitWords = (raw: string, number: number): string[] => {
  const words: string[] = [];
  let word: string | null = null;
  let quote: '"' | "'" | null = null;
  for (let i = 0; i < raw.length; i++) {
    const char = raw.charAt(i);
    if (quote === null && (char === ' ' || char === '\t')) {
      if (word !== null) words.push(word);
      word = null;
    } else if (quote === null && char === '#') {
      break;
    } else if (quote === null && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote) {
      quote = null;
    } else if (char === '\\' && quote !== "'") {
      const escape = readEscape(raw.slice(i + 1, i + 4), quote !== null, number);
      word = (word ?? '') + escape.text;
      i += escape.length;
    } else if (char === '$' && quote === '"') {
      throw new ConfigRejected('an environment variable', number);
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== null) throw new ConfigRejected(`a quote ${quote} is not closed`, number);
  if (word !== null) words.push(word);
  return words;
};

const controls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** What stands for the characters after a backslash; an unknown escape keeps its backslash. */
const readEscape = (
  next: string,
  inQuotes: boolean,
  number: number,
): { text: string; length: number } => {
  const char = next.charAt(0);
  if (char === '') throw new ConfigRejected('a backslash ends the line', number);
  if (' \\#"\''.includes(char) || (inQuotes && char === '$')) return { text: char, length: 1 };
  const control = controls[char];
  if (control !== undefined) return { text: control, length: 1 };
  if (char !== 'x') return { text: '\\', length: 0 };
  const hex = next.slice(1);
  if (!/^[0-9a-fA-F]{2}$/.test(hex)) {
    throw new ConfigRejected('\\x is not followed by two hex digits', number);
  }
  if (hex === '00') throw new ConfigRejected('control character \\x00', number);
  return { text: String.fromCharCode(Number.parseInt(hex, 16)), length: 3 };
};
