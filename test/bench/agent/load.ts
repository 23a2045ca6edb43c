// SPDX-License-Identifier: Apache-2.0
// The load balancers of the bench: many listeners, twenty members each, as a controller renders them.
import { renderLoadBalancer } from '../../support/load-balancer-config.js';

export type Mode = 'tcp' | 'http';

export interface Load {
  readonly listeners: number;
  readonly mode: Mode;
  readonly monitors: boolean;
}

const COUNT = 51;
const FIRST = { tcp: 8001, http: 9001 } as const;

/** One more than the largest load, for a listener that is added to it. Members serve them, too. */
export const portsOf = (mode: Mode): number[] =>
  Array.from({ length: COUNT }, (_, i) => FIRST[mode] + i);

/** All of them live in the namespace of one member. */
export const memberAddresses = Array.from({ length: 20 }, (_, i) => `10.1.0.${i + 40}`);

const FIXTURES = {
  tcp: { plain: 'a01-tcp', monitored: 'a05-hm-tcp' },
  http: { plain: 'a16-http', monitored: 'a17-hm-http' },
} as const;

/** The combined HAProxy config. */
export const renderLoad = ({ listeners, mode, monitors }: Load): string => {
  const fixture = FIXTURES[mode][monitors ? 'monitored' : 'plain'];
  const ports = portsOf(mode).slice(0, listeners);
  const member = { member: 'm1' } as const;
  const text = renderLoadBalancer(ports.map((port) => ({ fixture, port, members: [member] })));
  // Every machine of a bench can open the files for that many.
  const modest = text.replaceAll(/(maxconn|fullconn) 50000$/gm, '$1 5000');
  return modest.replaceAll(/^ {4}server (\S+) [^:]+:(.*)$/gm, (_, id: string, rest: string) =>
    memberAddresses.map((address, i) => serverLine(id, i, `${address}:${rest}`)).join('\n'),
  );
};

/** Ids differ in their last digits. */
const serverLine = (first: string, index: number, rest: string): string =>
  `    server ${first.slice(0, -3)}${String(index + 1).padStart(3, '0')} ${rest}`;
