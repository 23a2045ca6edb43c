// SPDX-License-Identifier: Apache-2.0
// Counters of open flows against a recount: corrected only where they are wrong twice running.

/** One number's counter, recounted by a pass of the sweep. */
export interface Recount {
  /** The map's value. */
  readonly open: number;
  /** Halves found that are counted. */
  readonly found: number;
  /** Flows accepted since ever: unchanged means that nothing was opened between two passes. */
  readonly flows: number;
}

/** While flows come and go a pass is not one moment: differences up to this part of the count are its own. */
const NOISE = 1 / 8;
const LEAST_NOISE = 64;

/**
 * What to add to the counter, 0 for nothing. `before` and `now` are the same number's recounts of two
 * successive passes. At rest any lasting difference is an error; under traffic only a large one is.
 */
export const repairOf = (before: Recount | undefined, now: Recount): number => {
  if (before === undefined) return 0;
  const [earlier, later] = [before.found - before.open, now.found - now.open];
  if (earlier === 0 || later === 0 || Math.sign(earlier) !== Math.sign(later)) return 0;
  const atRest =
    before.open === now.open && before.flows === now.flows && before.found === now.found;
  if (atRest) return later;
  const sure = Math.min(Math.abs(earlier), Math.abs(later));
  return sure > Math.max(LEAST_NOISE, now.found * NOISE) ? Math.sign(later) * sure : 0;
};
