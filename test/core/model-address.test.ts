// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  addressBytes,
  addressFromBytes,
  cidrContains,
  familyOf,
  formatEndpoint,
  parseCidr,
  parseIpAddress,
} from '../../agent/core/model/address.js';
import { backendName, isName, memberKey, splitBackendName } from '../../agent/core/model/ids.js';
import { summariseReasons } from '../../agent/core/model/reasons.js';
import type { IpAddress } from '../../agent/core/model/load-balancer.js';

const address = (text: string): IpAddress => {
  const parsed = parseIpAddress(text);
  if (parsed === null) throw new Error(`not an address: ${text}`);
  return parsed;
};

// the examples of RFC 5952, section 4, and their neighbours
const canonical = [
  ['10.0.0.1', '10.0.0.1'],
  ['255.255.255.255', '255.255.255.255'],
  ['0.0.0.0', '0.0.0.0'],
  ['::', '::'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:0db8::0001', '2001:db8::1'],
  ['2001:db8::0:1', '2001:db8::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:DB8::ABCD', '2001:db8::abcd'],
  ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
  ['::ffff:102:304', '::ffff:1.2.3.4'],
  ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
] as const;
for (const [text, expected] of canonical) {
  t.test(`${text} is ${expected}`, async (t) => {
    t.equal(parseIpAddress(text), expected);
    t.equal(addressFromBytes(addressBytes(address(text))), expected, 'also by its bytes');
  });
}

const wrong = [
  ...['', 'x', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', '0x1.2.3.4', '1.2.3.+4'],
  ...[':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '12345::', 'fe80::1%eth0'],
  ...['[::1]', '::1/64', '::1.2.3', '::256.2.3.4', 'g::', '::1:', '1.2.3.4:80'],
];
for (const text of wrong) {
  t.test(`${JSON.stringify(text)} is no address`, async (t) => {
    t.equal(parseIpAddress(text), null);
  });
}

t.test('bytes are in network order', async (t) => {
  t.strictSame([...addressBytes(address('10.1.2.3'))], [10, 1, 2, 3]);
  const bytes = [...addressBytes(address('2001:db8::a:1'))];
  t.strictSame(bytes, [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 1]);
  t.throws(() => addressFromBytes(new Uint8Array(5)), RangeError);
});

t.test('families and endpoints', async (t) => {
  t.equal(familyOf(address('10.0.0.1')), 4);
  t.equal(familyOf(address('::ffff:10.0.0.1')), 6);
  t.equal(formatEndpoint({ address: address('10.0.0.1'), port: 80 }), '10.0.0.1:80');
  t.equal(formatEndpoint({ address: address('::1'), port: 80 }), '[::1]:80');
});

const prefixes = [
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.1', false],
  ['10.9.9.9/8', '10.0.0.1', true],
  ['10.0.0.1', '10.0.0.1', true],
  ['10.0.0.1/32', '10.0.0.2', false],
  ['0.0.0.0/0', '192.0.2.1', true],
  ['0.0.0.0/0', '::1', false],
  ['2001:db8::/32', '2001:db8:ffff::1', true],
  ['2001:db8::/33', '2001:db8:8000::1', false],
  ['::/0', '::1', true],
] as const;
for (const [prefix, member, expected] of prefixes) {
  t.test(`${prefix} ${expected ? 'holds' : 'does not hold'} ${member}`, async (t) => {
    const cidr = parseCidr(prefix);
    t.equal(cidr === null ? null : cidrContains(cidr, address(member)), expected);
  });
}

t.test('what is no prefix', async (t) => {
  for (const text of [
    '',
    'x/8',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '1.1.1.1/8/8',
  ]) {
    t.equal(parseCidr(text), null, text);
  }
});

t.test('names of proxies and members', async (t) => {
  t.strictSame(splitBackendName('p:l'), { poolId: 'p', listenerId: 'l' });
  t.strictSame(splitBackendName('p'), { poolId: 'p', listenerId: null });
  t.equal(backendName('p', 'l'), 'p:l');
  t.equal(memberKey('p', 'l', 'm'), 'p:l/m');
  for (const name of ['a', 'a.b_c-d:e']) t.ok(isName(name), name);
  for (const name of ['', '.', '..', 'a/b', 'a b', 'ä', 'x'.repeat(256)])
    t.notOk(isName(name), name);
});

t.test('many reasons of a kind become one', async (t) => {
  const of = (code: string, text: string) => ({ code, text });
  t.strictSame(summariseReasons([of('a', '1'), of('b', '2'), of('a', '3'), of('a', '1')]), [
    of('a', '1 (and 1 more)'),
    of('b', '2'),
  ]);
  t.strictSame(summariseReasons([]), []);
});
