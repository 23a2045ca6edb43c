// SPDX-License-Identifier: Apache-2.0
// What of a HAProxy config cannot run while certificate files are missing: after a boot their RAM disk is empty
// (contract 5.11), and HAProxy refuses a whole config for one file.
import { lexHaproxy, type Section } from '../parse/haproxy-lexer.js';
import { defaultLimits } from '../parse/limits.js';

/** Absolute paths below `directory` that a config accepted by `parseHaproxyConfig` names. */
export const namedFiles = (text: string, directory: string): string[] => {
  const words = lexHaproxy(text, defaultLimits)
    .flatMap(({ body }) => body)
    .flatMap((line) => line.words);
  return [...new Set(words.filter((word) => word.startsWith(`${directory}/`)))];
};

/** True for a frontend or backend that cannot be without the files, and for frontends that lead to such a backend. */
export const needsAny = (
  sections: readonly Section[],
  missing: ReadonlySet<string>,
): ((section: Section) => boolean) => {
  if (missing.size === 0) return () => false;
  const names = ({ body }: Section): boolean =>
    body.some(({ words }) => words.some((word) => missing.has(word)));
  const broken = new Set(
    sections
      .filter((section) => section.kind === 'backend' && names(section))
      .map(({ name }) => name),
  );
  const leadsThere = ({ body }: Section): boolean =>
    body.some(
      ({ words }) => /^(default|use)_backend$/.test(words[0]) && broken.has(words[1] ?? ''),
    );
  return (section) =>
    ['frontend', 'backend', 'listen'].includes(section.kind) &&
    (names(section) || leadsThere(section));
};
