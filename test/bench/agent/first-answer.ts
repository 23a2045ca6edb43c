// SPDX-License-Identifier: Apache-2.0
// When does an agent answer? first-answer.js HOST PORT. Prints "asking" once it runs, then tries mutual TLS every
// 2 ms, as a controller would do it, until `GET /` is answered; prints CLOCK_MONOTONIC of that in nanoseconds.
import { request } from 'node:https';
import { controllerTls } from '../../support/tls.js';

const [host = '', port = ''] = process.argv.slice(2);
const options = { ...controllerTls(), host, port, path: '/', agent: false, timeout: 2000 };

const ask = (): Promise<boolean> =>
  new Promise((resolve) => {
    const sent = request(options, (response) => {
      response.resume();
      response.on('end', () => {
        resolve(response.statusCode === 200);
      });
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => {
      resolve(false);
    });
    sent.end();
  });

console.log('asking');
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));
while (!(await ask())) await pause();
console.log(String(process.hrtime.bigint()));
process.exit(0);
