// SPDX-License-Identifier: Apache-2.0
// Why a line keeps its listener with HAProxy, said so that a person can find the line.
import type { Reason } from '../model/load-balancer.js';
import type { Line } from './haproxy-lexer.js';
import { quoted } from './values.js';

/** Directives that read or write requests, which only a proxy sees. */
const contentDirectives = new Set([
  ...['acl', 'redirect', 'use_backend', 'http-request', 'http-response', 'http-after-response'],
]);

/** For a directive that the datapath cannot honour, because it needs a proxy or because we do not know it. */
export const explainDirective = ({ words, number }: Line): Reason => {
  const [directive, first] = words;
  if (contentDirectives.has(directive)) {
    return { code: 'l7-rules', text: `line ${number}: "${directive}" looks into requests` };
  }
  if (directive === 'option' && first === 'forwardfor') {
    return { code: 'l7-rules', text: `line ${number}: "option forwardfor" writes into requests` };
  }
  const what = quoted(words.slice(0, 2).join(' '));
  return {
    code: 'unknown-directive',
    text: `line ${number}: only HAProxy knows what ${what} means`,
  };
};
