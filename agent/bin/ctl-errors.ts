// SPDX-License-Identifier: Apache-2.0
// Exit status of the commands that speak to the agent.
import type { Output } from './command.js';
import { ControlError } from './ctl-client.js';

/** 0, or 1 with a message where the agent cannot be asked. */
export const withAgent = async (output: Output, work: () => Promise<void>): Promise<number> => {
  try {
    await work();
    return 0;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    output.error(`amphoractl: ${error.message}`);
    return 1;
  }
};
