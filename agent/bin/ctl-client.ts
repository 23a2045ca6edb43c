// SPDX-License-Identifier: Apache-2.0
// The client side of the agent's control socket.
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { ControlAnswer, ControlRequest } from '../shell/control.js';

export const DEFAULT_SOCKET = '/run/amphora-xdp/control.sock';

/** Shared by all commands that speak to the agent. */
export const socketOption = { socket: { type: 'string', default: DEFAULT_SOCKET } } as const;

/** The agent cannot be asked, or refused; the message is for people. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
}

/** Answers one after the other until the agent or the consumer ends it. Throws ControlError. */
export async function* askAgent(
  socket: string,
  request: ControlRequest,
): AsyncGenerator<Exclude<ControlAnswer, { error: string }>> {
  const connection = connect(socket);
  let failure: NodeJS.ErrnoException | null = null;
  connection.on('error', (error) => (failure = error));
  connection.write(`${JSON.stringify(request)}\n`);
  try {
    for await (const line of createInterface({ input: connection })) {
      const message = JSON.parse(line) as ControlAnswer;
      if ('error' in message) throw new ControlError(message.error);
      yield message;
    }
  } catch (error) {
    if (error !== failure) throw error;
  } finally {
    connection.destroy();
  }
  // assigned in the callback, which control flow analysis does not see
  const broken = failure as NodeJS.ErrnoException | null;
  if (broken !== null) {
    throw new ControlError(
      `no agent at ${socket}: ${broken.message} (is it running, are you root?)`,
    );
  }
}

/** The one answer to a request. Throws ControlError. */
export const askOnce = async (socket: string, request: ControlRequest): Promise<unknown> => {
  for await (const message of askAgent(socket, request)) {
    if ('result' in message) return message.result;
  }
  throw new ControlError(`the agent at ${socket} hung up`);
};
