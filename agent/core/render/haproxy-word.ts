// SPDX-License-Identifier: Apache-2.0

/** `text` as one word of a HAProxy config, whatever it holds but control characters. */
export const haproxyWord = (text: string): string =>
  text === '' ? '""' : text.replace(/[ \\#"']/g, '\\$&').replaceAll('\t', '\\t');
