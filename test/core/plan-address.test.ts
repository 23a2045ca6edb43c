// SPDX-License-Identifier: Apache-2.0
import { isIPv6 } from 'node:net';
import t from 'tap';
import {
  addressBytes,
  addressText,
  endpointText,
  familyOf,
  maskBytes,
} from '../../agent/core/plan/address-bytes.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const cases = [
  ['192.0.2.1', '00000000000000000000ffffc0000201', '192.0.2.1'],
  ['255.255.255.255', '00000000000000000000ffffffffffff', '255.255.255.255'],
  ['2001:db8::1', '20010db8000000000000000000000001', '2001:db8::1'],
  ['::', '00000000000000000000000000000000', '::'],
  ['::1', '00000000000000000000000000000001', '::1'],
  ['fe80::', 'fe800000000000000000000000000000', 'fe80::'],
  ['2001:db8:0:1:1:1:1:1', '20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
  ['2001:db8:0:0:1:0:0:1', '20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221', '64:ff9b::c000:221'],
] as const;
for (const [text, bytes, canonical] of cases)
  t.test(`${text} as bytes and back`, (t) => {
    t.equal(hex(addressBytes(text)), bytes);
    t.equal(addressText(addressBytes(text)), canonical);
    t.equal(familyOf(canonical) === 6, isIPv6(canonical));
    t.end();
  });

t.test('masks cut within and between bytes', (t) => {
  t.equal(hex(maskBytes(addressBytes('2001:db8:ffff::1'), 36)), '20010db8f00000000000000000000000');
  t.equal(addressText(maskBytes(addressBytes('192.0.2.255'), 96 + 25)), '192.0.2.128');
  t.equal(hex(maskBytes(addressBytes('192.0.2.255'), 0)), '0'.repeat(32));
  t.equal(addressText(maskBytes(addressBytes('::1'), 128)), '::1');
  t.end();
});

t.test('endpoints put brackets around IPv6', (t) => {
  t.equal(endpointText(addressBytes('192.0.2.1'), 80), '192.0.2.1:80');
  t.equal(endpointText(addressBytes('2001:db8::1'), 80), '[2001:db8::1]:80');
  t.end();
});
