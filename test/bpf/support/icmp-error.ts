// SPDX-License-Identifier: Apache-2.0
// Judges an ICMP error that the datapath has made itself.
import assert from 'node:assert/strict';
import { readPacket } from '../../support/packet-reader.js';
import type { Outcome } from './switchboard.js';

export interface ExpectedError {
  /** The frame that it answers. */
  readonly about: Buffer;
  readonly kind: readonly [type: number, code: number];
  /** The second word: the MTU where the type has one, else 0. */
  readonly rest?: number;
}

/**
 * It goes back by the way that the packet came, from the address that was called, and quotes the packet's
 * IP header and at least 8 bytes more, unchanged (RFC 792, RFC 4443).
 */
export const assertIcmpError = (outcome: Outcome, { about, kind, rest }: ExpectedError): void => {
  assert.equal(outcome.verdict, 'forward', `expected an ICMP error, got ${outcome.verdict}`);
  const sent = readPacket(about);
  const { ethernet, ip, transport, bytes } = readPacket(outcome.frame);
  assert.ok(ip && transport && sent.ip, 'not an IP packet');
  assert.equal(ethernet.source, sent.ethernet.destination);
  assert.equal(ethernet.destination, sent.ethernet.source);
  assert.equal(ip.source, sent.ip.destination);
  assert.equal(ip.destination, sent.ip.source);
  assert.equal(ip.protocol, ip.source.includes(':') ? 58 : 1);
  assert.ok(ip.ttl >= 30, `TTL ${ip.ttl}`);
  assert.equal(ip.length, bytes.length, 'length field and frame disagree');
  assert.ok(ip.checksumRight, 'IP checksum');
  assert.ok(transport.checksumRight, 'ICMP checksum');
  assert.deepEqual([transport.type, transport.code], kind);
  assert.equal(transport.header.readUInt32BE(4), rest ?? 0);
  const quoted = transport.payload.length;
  const header = ip.source.includes(':') ? 40 : (sent.bytes.readUInt8(0) & 15) * 4;
  assert.ok(quoted >= Math.min(header + 8, sent.bytes.length), `${quoted} bytes quoted`);
  assert.ok(
    quoted <= sent.bytes.length && quoted <= (header === 40 ? 1232 : 548),
    `${quoted} bytes`,
  );
  assert.equal(transport.payload.toString('hex'), sent.bytes.subarray(0, quoted).toString('hex'));
};
