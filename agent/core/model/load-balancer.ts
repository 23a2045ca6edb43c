// SPDX-License-Identifier: Apache-2.0
// The nouns: what both grammars (HAProxy and keepalived LVS) parse into. Values only.

import type { LogTarget } from '../log/log-target.js';

/** Canonical text of an address: dotted quad, or RFC 5952 lower-case IPv6. Only its parser makes one. */
declare const brand: unique symbol;
export type IpAddress = string & { readonly [brand]: 'IpAddress' };

export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

export type ListenerProtocol = 'TCP' | 'HTTP' | 'TERMINATED_HTTPS' | 'UDP' | 'SCTP';
export type PoolProtocol = 'tcp' | 'http' | 'udp' | 'sctp';
export type Algorithm = 'ROUND_ROBIN' | 'LEAST_CONNECTIONS' | 'SOURCE_IP';

export type Persistence =
  | { readonly type: 'SOURCE_IP'; readonly timeoutSeconds?: number; readonly granularity?: string }
  | { readonly type: 'HTTP_COOKIE'; readonly cookieName?: string }
  | { readonly type: 'APP_COOKIE'; readonly cookieName?: string };

/** Units as in the configs. `expectedCodes` is HTTP only. Source: contract 4.3.8 and 4.5.2. */
export interface Monitor {
  readonly type: 'TCP' | 'HTTP' | 'HTTPS' | 'TLS-HELLO' | 'PING' | 'UDP-CONNECT' | 'SCTP';
  readonly id: string | null;
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
  readonly fall: number;
  readonly rise: number;
  readonly httpMethod?: string;
  readonly httpPath?: string;
  readonly httpVersion?: string;
  readonly httpHost?: string;
  readonly expectedCodes?: readonly number[];
}

export interface Member {
  readonly id: string;
  /** Null where the config only names the member (a disabled member of an LVS config). */
  readonly address: IpAddress | null;
  readonly port: number | null;
  readonly weight: number;
  readonly backup: boolean;
  readonly enabled: boolean;
  readonly monitorAddress: IpAddress | null;
  readonly monitorPort: number | null;
}

export interface Pool {
  readonly id: string;
  readonly protocol: PoolProtocol;
  readonly algorithm: Algorithm;
  readonly persistence: Persistence | null;
  readonly monitor: Monitor | null;
  readonly members: readonly Member[];
  /** LVS `uthreshold`: connections that one member may hold, 0 or null for no limit. */
  readonly memberConnectionLimit: number | null;
  readonly timeouts: { readonly connectMs: number; readonly serverMs: number };
}

export interface Reason {
  /** Short stable word for programs, for example `http-mode`, `tls-bind`, `proxy-protocol`. */
  readonly code: string;
  /** One sentence for people. */
  readonly text: string;
}

export type Engine = 'datapath' | 'haproxy' | 'none';

export interface Listener {
  readonly id: string;
  readonly loadBalancerId: string;
  /** Which grammar it came from; decides units (payload or packet bytes) and LVS peculiarities. */
  readonly origin: 'haproxy' | 'lvs';
  readonly protocol: ListenerProtocol;
  readonly enabled: boolean;
  readonly vips: readonly Endpoint[];
  readonly connectionLimit: number | null;
  readonly timeouts: {
    readonly clientMs: number;
    readonly connectMs: number;
    readonly serverMs: number;
  };
  readonly defaultPool: string | null;
  readonly pools: readonly Pool[];
  readonly engine: Engine;
  readonly reasons: readonly Reason[];
  /** HAProxy's format of a line per flow, quotes and escapes resolved; null when connection logging is off. */
  readonly logFormat: string | null;
  /** Where these lines go. */
  readonly logTargets?: readonly LogTarget[];
}
