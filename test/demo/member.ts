// SPDX-License-Identifier: Apache-2.0
// A member of the demo: an ordinary HTTP server and an ordinary UDP server that say who they are.
// member.js NAME HTTP_PORT,... UDP_PORT
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

const [name = 'member', httpPorts = '80', udpPort = '53'] = process.argv.slice(2);

for (const port of httpPorts.split(',')) {
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.end(`${name}\n`);
    request.resume();
  });
  server.listen(Number(port), '::');
}

const socket = createSocket('udp6');
socket.on('message', (message, from) => {
  socket.send(`${name} heard ${message.toString()}`, from.port, from.address);
});
socket.bind(Number(udpPort), '::');
