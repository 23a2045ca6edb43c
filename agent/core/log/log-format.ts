// SPDX-License-Identifier: Apache-2.0
// HAProxy's `log-format` as an interpreter for flows of the datapath (HAProxy 2.6 configuration manual, 8.2.4).
import { type LogFlags, logText, noFlags, variables } from './log-variables.js';
import type { LogContext, LoggedFlow } from './logged-flow.js';

/** Writes one flow's line, without header and newline. */
export type LogFormat = (flow: LoggedFlow, context: LogContext) => string;

/**
 * Compiles the word that follows `log-format`, quotes and escapes resolved. Never throws: HAProxy has judged the format
 * at the upload, and what it knows and a packet does not is written as an empty value.
 */
export const compileLogFormat = (format: string): LogFormat => {
  const parts = parseFormat(format);
  return (flow, context) =>
    parts.map((part) => (typeof part === 'string' ? part : part(flow, context))).join('');
};

type Part = string | LogFormat;

/** `%%`, `%{flags}name`, `%{flags}[expression]`, blanks (a tab is none), or anything else. */
const token = /%%|%(?:\{([^}]*)\})?(?:\[((?:[^\]()]|\([^)]*\))*)\]|([A-Za-z0-9]+))| +|[^% ]+|%/g;

/** A run of blanks, whatever flags stand between them, is one; HAProxy writes none in front. */
const BLANK = ' ';

const parseFormat = (format: string): Part[] => {
  const parts: Part[] = [];
  let flags = noFlags;
  for (const [text, change, expression, name] of format.trim().matchAll(token)) {
    if (expression !== undefined) parts.push(valueOf(expression, changeFlags(flags, change)));
    else if (name === 'o') flags = changeFlags(flags, change);
    else if (name !== undefined) parts.push(valueOf(name, changeFlags(flags, change)));
    else if (!text.startsWith(' ')) parts.push(text === '%%' ? '%' : text);
    else if (parts.length > 0 && parts.at(-1) !== BLANK) parts.push(BLANK);
  }
  return parts;
};

const valueOf = (name: string, flags: LogFlags): LogFormat => {
  const variable = variables.get(name);
  return variable === undefined ? () => logText(null, flags) : (f, c) => variable(f, c, flags);
};

const changeFlags = (flags: LogFlags, change = ''): LogFlags => {
  let { quote, escape, hex } = flags;
  for (const word of change.split(',').map((one) => one.trim())) {
    const on = !word.startsWith('-');
    switch (word.replace(/^[+-]/, '')) {
      case 'Q':
        quote = on;
        break;
      case 'E':
        escape = on;
        break;
      case 'X':
        hex = on;
    }
  }
  return { ...flags, quote, escape, hex };
};
