// SPDX-License-Identifier: Apache-2.0
// Every packet table by name.
import { bystanders } from './bystanders.js';
import { malformed } from './malformed.js';
import { tcp } from './tcp.js';
import { udpTable } from './udp.js';

export const tables = { tcp, udp: udpTable, bystanders, malformed } as const;
export type TableName = keyof typeof tables;
