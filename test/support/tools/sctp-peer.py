# SPDX-License-Identifier: Apache-2.0
# Answers SCTP INITs on a raw socket: sctp-peer.py ADDRESS init-ack|abort|other|silent. The kernel need not know
# SCTP. Prints "ready", then a line for each packet: its chunk type, and its verification tag in hexadecimal.
import socket
import struct
import sys

address, manner = sys.argv[1:]
family = socket.AF_INET6 if ':' in address else socket.AF_INET
raw = socket.socket(family, socket.SOCK_RAW, 132)
raw.bind((address, 0))
TAG = 0x11223344


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def packet(source, destination, tag, chunk):
    head = struct.pack('!HHII', source, destination, tag, 0)
    checksum = struct.pack('<I', crc32c(head + chunk))
    return head[:8] + checksum + chunk


print('ready', flush=True)
while True:
    data, peer = raw.recvfrom(65535)
    if family == socket.AF_INET:
        data = data[(data[0] & 15) * 4:]
    source, destination, tag, came = struct.unpack('!HHII', data[:12])
    blank = data[:8] + b'\0\0\0\0' + data[12:]
    sound = struct.pack('!I', came) == struct.pack('<I', crc32c(blank))
    print(data[12], '%08x' % tag, 'sound' if sound else 'broken', flush=True)
    if data[12] != 1 or manner == 'silent':
        continue
    theirs = struct.unpack('!I', data[16:20])[0]
    chunk = {
        'init-ack': struct.pack('!BBHIIHHI', 2, 0, 20, TAG, 65536, 1, 1, 7),
        'abort': struct.pack('!BBH', 6, 0, 4),
        'other': struct.pack('!BBH', 9, 0, 4),
    }[manner]
    # A stranger's answer and a damaged one first: neither may count.
    for wrong in (packet(destination, source, theirs ^ 1, struct.pack('!BBH', 6, 0, 4)),
                  packet(destination, source, theirs, struct.pack('!BBH', 6, 0, 4))[:-1] + b'\7'):
        raw.sendto(wrong, (peer[0], 0))
    raw.sendto(packet(destination, source, theirs, chunk), (peer[0], 0))
