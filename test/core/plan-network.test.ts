// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { localBit, localBitmap, snatAddress, vipInterface } from '../../agent/core/plan/network.js';
import { networkInterface } from './plan-fixtures.js';

const vips = new Set(['203.0.113.10', '2001:db8::10']);
const cases = [
  [
    'first address with a subnet',
    ['198.51.100.1/32', '203.0.113.5/24', '203.0.113.6/24'],
    4,
    '203.0.113.5',
  ],
  ['never the VIP while there is another', ['203.0.113.10/24', '203.0.113.5/32'], 4, '203.0.113.5'],
  ['the VIP when it is alone', ['203.0.113.10/24'], 4, '203.0.113.10'],
  ['no address of the family', ['203.0.113.5/24'], 6, null],
  ['no link-local', ['fe80::1/64', 'febf::1/64', '2001:db8::5/64'], 6, '2001:db8::5'],
  ['link-local alone is none', ['fe80::1/64'], 6, null],
  ['IPv6 host addresses come second', ['2001:db8::1/128', '2001:db8::5/64'], 6, '2001:db8::5'],
] as const;
for (const [name, addresses, family, expected] of cases)
  t.test(`SNAT source: ${name}`, (t) => {
    t.equal(snatAddress(networkInterface(2, addresses), family, vips), expected);
    t.end();
  });

t.test('the interface of a VIP holds it, or has the narrowest subnet around it', (t) => {
  const wide = networkInterface(2, ['203.0.113.5/16']);
  const narrow = networkInterface(3, ['203.0.113.6/24']);
  const holder = networkInterface(4, ['203.0.113.10/32']);
  t.equal(vipInterface('203.0.113.10', [wide, narrow, holder]), 4);
  t.equal(vipInterface('203.0.113.10', [wide, narrow]), 3);
  t.equal(vipInterface('203.0.200.10', [wide, narrow]), 2);
  t.equal(vipInterface('198.51.100.1', [wide, narrow, holder]), 0);
  const six = networkInterface(5, ['2001:db8::5/64']);
  t.equal(vipInterface('2001:db8::99', [wide, six]), 5);
  t.equal(vipInterface('2001:db9::99', [wide, six]), 0);
  t.end();
});

/** The datapath's formula over 32-bit words, in plain big integers. */
const bitOf = (bytes: readonly number[]): number => {
  const words = [0, 4, 8, 12].map((at) => Buffer.from(bytes).readUInt32LE(at));
  const h = words.reduce((sum, word) => (sum ^ word) >>> 0, 0);
  return Number(((BigInt(h) * 0x9e3779b1n) & 0xffffffffn) >> 22n);
};

t.test('bits of addresses follow the datapath', (t) => {
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
  t.equal(localBit('203.0.113.10'), bitOf([...mapped, 203, 0, 113, 10]));
  t.equal(localBit('10.0.0.1'), bitOf([...mapped, 10, 0, 0, 1]));
  t.equal(
    localBit('2001:db8::10'),
    bitOf([0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 0x10]),
  );
  t.end();
});

t.test('the bitmap has a bit per address, in little-endian words', (t) => {
  const bitmap = localBitmap(['203.0.113.10', '2001:db8::10']);
  t.equal(bitmap.length, 128);
  const words = new BigUint64Array(bitmap.buffer);
  for (const address of ['203.0.113.10', '2001:db8::10']) {
    const bit = localBit(address);
    t.equal(((words[bit >> 6] ?? 0n) >> BigInt(bit & 63)) & 1n, 1n);
  }
  t.equal(
    words.reduce((sum, word) => sum + word.toString(2).replaceAll('0', '').length, 0),
    2,
  );
  t.end();
});
