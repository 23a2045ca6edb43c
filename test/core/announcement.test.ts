// SPDX-License-Identifier: Apache-2.0
// Frames that announce an address, byte by byte.
import t from 'tap';
import { announcementFrame } from '../../agent/core/network/announcement.js';
import type { IpAddress } from '../../agent/core/model/load-balancer.js';

const frame = (address: string): string =>
  Buffer.from(announcementFrame(address as IpAddress, '02:00:00:00:00:11')).toString('hex');

t.test('IPv4: a broadcast ARP request for the address by the address', async (t) => {
  t.equal(
    frame('10.0.0.10'),
    'ffffffffffff' +
      '020000000011' +
      '0806' + // to all, from us, ARP
      '0001' +
      '0800' +
      '06' +
      '04' +
      '0001' + // Ethernet, IPv4, request
      '020000000011' +
      '0a00000a' +
      'ffffffffffff' +
      '0a00000a',
  );
});

t.test('IPv6: an unsolicited advertisement to all nodes with Router and Override', async (t) => {
  const hex = frame('2001:db8::10');
  const ip = '20010db8000000000000000000000010';
  t.equal(
    hex.slice(0, 28 + 80),
    '333300000001' +
      '020000000011' +
      '86dd' + // ff02::1 on Ethernet
      '60000000' +
      '0020' +
      '3a' +
      'ff' +
      ip +
      'ff020000000000000000000000000001',
  );
  t.match(hex.slice(108), new RegExp(`^8800....a0000000${ip}0201020000000011$`));
  const bytes = Buffer.from(hex, 'hex');
  // Over pseudo header and message, a right checksum adds up to all ones (RFC 1071).
  let sum = 0x20 + 0x3a;
  for (let at = 22; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  t.equal(sum, 0xffff);
});

t.test('an interface without an Ethernet address is a mistake', async (t) => {
  t.throws(() => announcementFrame('10.0.0.10' as IpAddress, '00:00'), RangeError);
});
