// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { parseDestinations } from '../../agent/core/report/destinations.js';

const cases = [
  ['192.0.2.5:5555', '192.0.2.5', 5555],
  ['[2001:db8::5]:5555', '2001:db8::5', 5555],
  ['2001:db8::5:5555', '2001:db8::5', 5555],
  ['fe80::1%eth0:5555', 'fe80::1%eth0', 5555],
  ['controller.example:1', 'controller.example', 1],
  [' 192.0.2.5:65535 ', '192.0.2.5', 65535],
] as const;
for (const [entry, host, port] of cases) {
  t.test(`${entry} is split at its last colon`, async (t) => {
    t.strictSame(parseDestinations([entry]), { destinations: [{ host, port }], bad: null });
  });
}

for (const bad of ['192.0.2.5', '', ':5555', '192.0.2.5:', '192.0.2.5:x', 'a:0', 'a:65536']) {
  t.test(`"${bad}" ends the list, what stands before it is used`, async (t) => {
    const found = parseDestinations(['192.0.2.5:5555', bad, '192.0.2.6:5555']);
    t.strictSame(found, { destinations: [{ host: '192.0.2.5', port: 5555 }], bad });
  });
}

t.test('an empty list is empty', async (t) => {
  t.strictSame(parseDestinations([]), { destinations: [], bad: null });
});
