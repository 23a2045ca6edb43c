// SPDX-License-Identifier: Apache-2.0
// Every packet table by name.
import { tcp } from './tcp.js';

export const tables = { tcp } as const;
export type TableName = keyof typeof tables;
