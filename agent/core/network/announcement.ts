// SPDX-License-Identifier: Apache-2.0
// Ethernet frames that tell neighbours where an address lives now (contract 5.7).
import { addressBytes, familyOf } from '../model/address.js';
import type { IpAddress } from '../model/load-balancer.js';

const BROADCAST = Buffer.alloc(6, 0xff);
/** ff02::1, and the group address that Ethernet gives it (RFC 2464, 7). */
const ALL_NODES = Buffer.from('ff020000000000000000000000000001', 'hex');
const ALL_NODES_MAC = Buffer.from('333300000001', 'hex');
const ICMPV6 = 58;

/** A gratuitous ARP request, or an unsolicited neighbour advertisement. `mac` as `ip` prints it. */
export const announcementFrame = (address: IpAddress, mac: string): Uint8Array => {
  const hardware = Buffer.from(mac.replaceAll(':', ''), 'hex');
  if (hardware.length !== 6) throw new RangeError(`${mac} is no Ethernet address`);
  return familyOf(address) === 4 ? arpFrame(address, hardware) : advertisement(address, hardware);
};

/** RFC 826; sender and target are both the address (RFC 5227, 3). The target hardware address is all ones. */
const arpFrame = (address: IpAddress, mac: Buffer): Buffer => {
  const ip = Buffer.from(addressBytes(address));
  const head = Buffer.from('0806000108000604' + '0001', 'hex'); // Ethernet, IPv4, sizes, request
  return Buffer.concat([BROADCAST, mac, head, mac, ip, BROADCAST, ip]);
};

/** RFC 4861, 4.4 and 7.2.6: Router and Override set, with the target's link-layer address. */
const advertisement = (address: IpAddress, mac: Buffer): Buffer => {
  const ip = Buffer.from(addressBytes(address));
  const message = Buffer.concat([
    Buffer.from('88000000' + 'a0000000', 'hex'),
    ip,
    Buffer.from('0201', 'hex'),
    mac,
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  const pseudo = Buffer.concat([ip, ALL_NODES, length, Buffer.from([0, 0, 0, ICMPV6])]);
  message.writeUInt16BE(internetChecksum(Buffer.concat([pseudo, message])), 2);
  const header = Buffer.from([0x60, 0, 0, 0, 0, message.length, ICMPV6, 255]);
  return Buffer.concat([
    ...[ALL_NODES_MAC, mac, Buffer.from('86dd', 'hex')],
    ...[header, ip, ALL_NODES, message],
  ]);
};

/** RFC 1071, of an even number of bytes. */
const internetChecksum = (data: Buffer): number => {
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) sum += data.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};
