// SPDX-License-Identifier: Apache-2.0
// The short form of these tests in a pipeline: it bakes the image itself, and begins only where the time that the
// pipeline has left will do. A slow day costs these tests, never the result of others.
import { inCheckout } from '../paths.js';
import { run } from '../run.js';

/** When the pipeline began, in seconds since the epoch; unset where somebody runs the tests by hand. */
const BEGAN = process.env['AMPHORA_PIPELINE_BEGAN'];

/** A pipeline ends after twenty minutes. Baking and booting take four or five of them on a quiet machine. */
const SECONDS = { latestStart: 13.5 * 60, end: 19.5 * 60 } as const;

export const isPipeline = BEGAN !== undefined;

/** The reason to skip, or false. */
export const lackOfTime = (): string | false => {
  const gone = secondsGone();
  if (!isPipeline || gone <= SECONDS.latestStart) return false;
  return `this machine lacks the time: ${Math.round(gone / 60)} minutes of the pipeline's twenty are gone`;
};

/** How long a test may take: what the pipeline has left, or `byHandMs`. */
export const timeLeftMs = (byHandMs: number): number =>
  isPipeline ? Math.max(1, Math.round(SECONDS.end - secondsGone())) * 1000 : byHandMs;

/** Bakes `build/amphora-x64-haproxy.qcow2` anew; installs what that and booting it take. */
export const bakeImage = async (): Promise<string> => {
  const patience = { timeoutMs: timeLeftMs(3_600_000) };
  await run('bash', [inCheckout('test/image/packages')], patience);
  return run('make', ['-s', '-C', inCheckout('.'), 'image'], patience);
};

const secondsGone = (): number => Date.now() / 1000 - Number(BEGAN ?? Number.NaN);
