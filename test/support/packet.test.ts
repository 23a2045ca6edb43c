// SPDX-License-Identifier: Apache-2.0
// The packet builder against bytes that other stacks made, and against its own reader.
import t from 'tap';
import { buildFragments, buildPacket, mssOption, type PacketSpec } from './packet.js';
import { readPacket } from './packet-reader.js';
import { crc32c, internetChecksum } from './checksum.js';
import { ipBytes } from './address.js';

const ethernet = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const v4 = { source: '10.0.0.1', destination: '10.0.0.2' };
const v6 = { source: '2001:db8::1', destination: '2001:db8::2' };
const tcp = {
  kind: 'tcp',
  source: 40000,
  destination: 80,
  flags: ['SYN'],
  options: mssOption(1460),
} as const;
const udp = { kind: 'udp', source: 5353, destination: 53 } as const;

t.test('sums the example header of RFC 1071-style textbooks', async (t) => {
  const header = Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex');
  t.equal(internetChecksum(header), 0);
});

t.test('computes the CRC32c check value of RFC 3720', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

t.test('reads every spelling of an IPv6 address', async (t) => {
  t.equal(ipBytes('2001:db8::5').toString('hex'), '20010db8000000000000000000000005');
  t.equal(ipBytes('::ffff:10.0.0.1').toString('hex'), '00000000000000000000ffff0a000001');
  t.equal(ipBytes('::').toString('hex'), '0'.repeat(32));
});

const packets: readonly (readonly [string, PacketSpec])[] = [
  ['TCP over IPv4', { ethernet, ip: v4, transport: tcp }],
  [
    'TCP over IPv6 with a payload of odd length',
    { ethernet, ip: v6, transport: tcp, payload: 'abc' },
  ],
  [
    'UDP over IPv4 with options',
    { ethernet, ip: { ...v4, options: Buffer.from([1]) }, transport: udp, payload: 'x' },
  ],
  [
    'UDP over IPv6 behind extension headers',
    { ethernet, ip: { ...v6, extensions: [{ header: 0 }, { header: 60 }] }, transport: udp },
  ],
  [
    'ICMP',
    { ethernet, ip: v4, transport: { kind: 'icmp', type: 8, code: 0, rest: 1 }, payload: 'ping' },
  ],
  [
    'ICMPv6',
    { ethernet, ip: v6, transport: { kind: 'icmp', type: 128, code: 0 }, payload: 'ping' },
  ],
  [
    'SCTP with two VLAN tags',
    {
      ethernet: { ...ethernet, vlan: [5, 6] },
      ip: v4,
      transport: { kind: 'sctp', source: 1, destination: 2 },
      payload: 'chunk',
    },
  ],
];
for (const [name, spec] of packets) {
  t.test(`${name} has right checksums and reads back`, async (t) => {
    const read = readPacket(buildPacket(spec));
    t.ok(read.ip?.checksumRight);
    t.ok(read.transport?.checksumRight);
    t.equal(read.transport?.payload.toString(), spec.payload ?? '');
  });
}

t.test('a changed byte makes the checksum wrong', async (t) => {
  const frame = buildPacket({ ethernet, ip: v4, transport: tcp, payload: 'abcd' });
  frame[frame.length - 1] = 0;
  t.notOk(readPacket(frame).transport?.checksumRight);
});

t.test('fragments join to the datagram', async (t) => {
  for (const ip of [v4, v6]) {
    const payload = Buffer.alloc(3000, 7);
    const pieces = buildFragments({ ethernet, ip, transport: udp, payload }, 1400).map(readPacket);
    t.strictSame(
      pieces.map((piece) => piece.ip?.fragment),
      [
        { offset: 0, more: true },
        { offset: 1400, more: true },
        { offset: 2800, more: false },
      ],
    );
    t.equal(pieces[1]?.transport, null);
  }
});
