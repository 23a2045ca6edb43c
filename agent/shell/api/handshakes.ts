// SPDX-License-Identifier: Apache-2.0
// Connections that have not shown a certificate: anybody on the management network can open them, so there is
// room for some only, and the newest is let in.
import type { Server } from 'node:https';
import type { Socket } from 'node:net';

/**
 * Closes the oldest connection without a finished handshake whenever more than `limit` are open. A controller's
 * handshake takes milliseconds, so it gets through among any number of silent ones.
 */
export const boundHandshakes = (server: Server, limit: number): void => {
  // The TCP socket and the TLS socket on top of it have the peer's address in common.
  const open = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    open.set(peer, socket);
    socket.once('close', () => {
      if (open.get(peer) === socket) open.delete(peer);
    });
    const [oldest] = open.values();
    if (open.size > limit) oldest?.destroy();
  });
  server.on('secureConnection', (socket) => open.delete(peerOf(socket)));
};

const peerOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress ?? ''} ${remotePort ?? 0}`;
