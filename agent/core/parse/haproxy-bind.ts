// SPDX-License-Identifier: Apache-2.0
// One `bind` line of a frontend into VIPs (contract 4.3.4).
import { parseIpAddress } from '../model/address.js';
import type { Endpoint, Reason } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import type { Line } from './haproxy-lexer.js';
import { quoted, readPort, splitLastColon } from './values.js';

export interface BindLine {
  readonly line: number;
  readonly vips: readonly Endpoint[];
  readonly isTls: boolean;
  readonly obstacles: readonly Reason[];
}

/** Throws ConfigRejected without an address, and for a port out of range. */
export const parseBind = (line: Line): BindLine => {
  const [, targets, ...options] = line.words;
  if (targets === undefined) throw new ConfigRejected('bind without an address', line.number);
  const vips: Endpoint[] = [];
  const obstacles: Reason[] = [];
  for (const target of targets.split(',')) {
    const vip = readTarget(target, line.number);
    if (vip === null) {
      const text = `bind ${quoted(target)} is not one address and port`;
      obstacles.push({ code: 'bind-address', text });
    } else vips.push(vip);
  }
  const isTls = options.includes('ssl');
  const [option] = options;
  if (isTls) {
    obstacles.push({ code: 'tls-bind', text: 'TLS ends here: HAProxy holds the certificates' });
  } else if (option !== undefined) {
    const text = `bind has the option ${quoted(option)}, which only HAProxy knows`;
    obstacles.push({ code: 'unknown-bind-option', text });
  }
  return { line: line.number, vips, isTls, obstacles };
};

/** Null where HAProxy understands more than one address and port: wildcards, ranges, names. */
const readTarget = (target: string, line: number): Endpoint | null => {
  const parts = splitLastColon(target);
  if (parts === null) throw new ConfigRejected(`bind without a port: ${quoted(target)}`, line);
  const ports = parts.port.split('-').map((port) => readPort(port, { what: 'port of bind', line }));
  const address = parseIpAddress(parts.host);
  const [port] = ports;
  if (address === null || port === undefined || ports.length > 1) return null;
  return /^(?:0\.0\.0\.0|::)$/.test(address) ? null : { address, port };
};
