# SPDX-License-Identifier: Apache-2.0
"""Sends COUNT datagrams to ADDRESS, port 9, at an even pace over SECONDS, and says how many it sent."""
import socket
import sys
import time

address, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
start = time.monotonic()
sent = 0
while sent < count:
    due = min(count, int((time.monotonic() - start) / seconds * count) + 1)
    while sent < due:
        sender.sendto(b"x" * 18, (address, 9))
        sent += 1
    time.sleep(0.0005)
print(sent)
