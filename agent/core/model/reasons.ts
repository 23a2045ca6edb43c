// SPDX-License-Identifier: Apache-2.0
// Reasons of a decision, many into few.
import type { Reason } from './load-balancer.js';

/** One reason per code, in order: a pool of a thousand members has one thing to say a thousand times. */
export const summariseReasons = (reasons: readonly Reason[]): readonly Reason[] => {
  const texts = new Map<string, Set<string>>();
  for (const { code, text } of reasons) texts.set(code, (texts.get(code) ?? new Set()).add(text));
  return [...texts].map(([code, all]) => {
    const [first = ''] = all;
    return { code, text: all.size === 1 ? first : `${first} (and ${all.size - 1} more)` };
  });
};
