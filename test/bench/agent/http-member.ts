// SPDX-License-Identifier: Apache-2.0
// A member for HTTP listeners: http-member.js. Prints a line when it listens.
import { createServer } from 'node:http';
import { portsOf } from './load.js';

const ports = portsOf('http');
let left = ports.length;
for (const port of ports) {
  const server = createServer((request, response) => {
    response.end('member\n');
    request.resume();
  });
  server.listen(port, '::', () => {
    left -= 1;
    if (left === 0) console.log('listening');
  });
}
