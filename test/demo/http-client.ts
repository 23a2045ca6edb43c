// SPDX-License-Identifier: Apache-2.0
// http-client.js URL COUNT [SOURCE...]: COUNT requests from each source in turn, a connection each; prints who answered,
// one JSON array per source.
import { get } from 'node:http';

const [url = '', count = '1', ...sources] = process.argv.slice(2);

const ask = (localAddress?: string): Promise<string> =>
  new Promise((resolve) => {
    const options = {
      agent: false,
      timeout: 5000,
      ...(localAddress === undefined ? {} : { localAddress }),
    };
    const request = get(url, options, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        resolve(text.trim());
      });
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error) => {
      resolve(error.message);
    });
  });

for (const source of sources.length === 0 ? [undefined] : sources) {
  const names: string[] = [];
  for (let i = 0; i < Number(count); i += 1) names.push(await ask(source));
  console.log(JSON.stringify(names));
}
