// SPDX-License-Identifier: Apache-2.0
// udp-client.js ADDRESS PORT COUNT: COUNT datagrams from a socket each; prints who answered as a JSON array.
import { createSocket } from 'node:dgram';

const [address = '', port = '53', count = '1'] = process.argv.slice(2);

const ask = (): Promise<string> =>
  new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const done = (answer: string) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => {
      done('no answer');
    }, 2000);
    socket.on('message', (message) => {
      done(message.toString().split(' ')[0] ?? '');
    });
    socket.send('hello', Number(port), address);
  });

const names: string[] = [];
for (let i = 0; i < Number(count); i += 1) names.push(await ask());
console.log(JSON.stringify(names));
