// SPDX-License-Identifier: Apache-2.0
// keepalived's block syntax, keeping the comments: in an LVS config they are data (contract 4.5.1).
import { ConfigRejected } from './config-rejected.js';
import { splitLines, type ConfigLimits } from './limits.js';
import { quoted } from './values.js';

/** A comment, or a directive with its block; `words` of a comment are those after the sign. */
export interface Statement {
  readonly kind: 'comment' | 'directive';
  /** Counts from 1. */
  readonly line: number;
  readonly words: readonly [string, ...string[]];
  /** Null for a directive without a block. */
  readonly block: readonly Statement[] | null;
}

/** The first directive of that name directly inside a block. */
export const findDirective = (block: Statement, name: string): Statement | undefined =>
  block.block?.find(({ kind, words }) => kind === 'directive' && words[0] === name);

interface Open {
  kind: Statement['kind'];
  line: number;
  words: [string, ...string[]];
  block: Statement[] | null;
}

/** Throws ConfigRejected for unbalanced braces and quotes, and for keepalived's own preprocessor. */
export const lexKeepalived = (text: string, limits: ConfigLimits): readonly Statement[] => {
  const top: Statement[] = [];
  const stack: { line: number; block: Statement[] }[] = [];
  for (const [i, raw] of splitLines(text, limits).entries()) {
    const line = i + 1;
    const block = stack.at(-1)?.block ?? top;
    const [first, ...rest] = splitWords(raw, line);
    if (first === undefined) continue;
    if (first === '#') {
      const [word, ...more] = rest;
      if (word !== undefined)
        block.push({ kind: 'comment', line, words: [word, ...more], block: null });
    } else if (first === '}') {
      if (rest.length > 0) throw new ConfigRejected(`${quoted(rest[0])} after }`, line);
      if (stack.pop() === undefined) throw new ConfigRejected('a } without its {', line);
    } else {
      const statement = readDirective([first, ...rest], line);
      block.push(statement);
      if (statement.block !== null) stack.push({ line, block: statement.block });
    }
    if (stack.length > maxDepth) throw new ConfigRejected('blocks nest too deep', line);
  }
  const open = stack.at(-1);
  if (open !== undefined) throw new ConfigRejected('a { without its }', open.line);
  return top;
};

const maxDepth = 8;

const readDirective = (words: [string, ...string[]], line: number): Open => {
  // @ conditions and $ definitions would make keepalived read another text than we do
  if (/^[@$~{]/.test(words[0])) throw new ConfigRejected(`directive ${quoted(words[0])}`, line);
  const opens = words.at(-1) === '{';
  const [first, ...rest] = words;
  const own: [string, ...string[]] = [first, ...(opens ? rest.slice(0, -1) : rest)];
  if (own.includes('{') || own.includes('}'))
    throw new ConfigRejected('a brace inside a line', line);
  return { kind: 'directive', line, words: own, block: opens ? [] : null };
};

/** Blanks separate, double quotes join, `#` or `!` starts a comment: alone on its line it becomes words. */
const splitWords = (raw: string, line: number): string[] => {
  const comment = /^[ \t]*[#!](.*)$/.exec(raw);
  if (comment !== null) return ['#', ...words(comment[1] ?? '')];
  const result: string[] = [];
  const token = /[ \t]*(?:"([^"]*)"|([#!].*)|([^ \t"]+))/y;
  const text = raw.trimEnd();
  while (token.lastIndex < text.length) {
    const found = token.exec(text);
    if (found === null) throw new ConfigRejected('a quote " is not closed', line);
    if (found[2] !== undefined) break;
    result.push(found[1] ?? found[3] ?? '');
  }
  return result;
};

const words = (text: string): string[] => text.split(/[ \t]+/).filter((word) => word !== '');
