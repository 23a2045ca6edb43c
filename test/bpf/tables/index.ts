// SPDX-License-Identifier: Apache-2.0
// Every packet table by name.
import { accounting } from './accounting.js';
import { bystanders } from './bystanders.js';
import { fragments } from './fragments.js';
import { headers } from './headers.js';
import { icmp } from './icmp.js';
import { malformed } from './malformed.js';
import { ports } from './ports.js';
import { refusals } from './refusals.js';
import { selection } from './selection.js';
import { tcp } from './tcp.js';
import { topology } from './topology.js';
import { udpTable } from './udp.js';

export const tables = {
  ...{ tcp, udp: udpTable, bystanders, malformed, headers, fragments },
  ...{ icmp, refusals, selection, ports, topology, accounting },
} as const;
export type TableName = keyof typeof tables;
