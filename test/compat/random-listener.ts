// SPDX-License-Identifier: Apache-2.0
// Listeners and their L7 policies at random.
import type { ListenerModel } from '../core/controller-cases.js';
import type { Random } from '../support/random.js';
import { CERTIFICATES } from './certificates.js';
import { HOSTILE_NAMES, type Place } from './random-model.js';
import { CIPHERS, TLS_VERSIONS, type RandomPool } from './random-pool.js';

export interface ListenerTls {
  readonly default: string | null;
  readonly sni: readonly string[];
  readonly versions: readonly string[] | null;
  readonly ciphers: string | null;
  readonly alpn: readonly string[] | null;
  readonly client_ca: string | null;
  readonly client_authentication: string;
  readonly client_crl: string | null;
}

export interface Policy {
  readonly id: string;
  readonly action: string;
  readonly enabled: boolean;
  readonly position: number;
  readonly redirect_pool?: string;
  readonly redirect_url?: string;
  readonly redirect_prefix?: string;
  readonly redirect_http_code?: number;
  readonly rules: readonly Readonly<Record<string, string | boolean | null>>[];
}

export interface RandomListener extends ListenerModel {
  readonly name: string;
  readonly peer_port: number;
  readonly insert_headers: Readonly<Record<string, string>>;
  readonly timeout_tcp_inspect: number;
  readonly allowed_cidrs: readonly string[];
  readonly tls: ListenerTls | null;
  readonly l7policies: readonly Policy[];
}

export interface ListenerRequest {
  readonly id: string;
  readonly port: number;
  readonly isLvs: boolean;
  readonly place: Place;
  /** Of this load balancer so far; a listener may share one. */
  readonly pools: readonly RandomPool[];
  readonly newPool: (protocol: string) => RandomPool;
}

/** Which pools a listener may have (contract 4.1). */
const POOLS: Readonly<Record<string, readonly string[]>> = {
  TCP: ['TCP', 'TCP', 'TCP', 'TCP', 'HTTPS', 'HTTP', 'PROXY', 'PROXYV2'],
  HTTPS: ['HTTPS', 'HTTPS', 'TCP', 'PROXY', 'PROXYV2'],
  HTTP: ['HTTP', 'HTTP', 'PROXY', 'PROXYV2'],
  TERMINATED_HTTPS: ['HTTP', 'HTTP', 'PROXY', 'PROXYV2'],
  PROMETHEUS: [],
  UDP: ['UDP'],
  SCTP: ['SCTP'],
};

const PROTOCOLS = ['TCP', 'TCP', 'TCP', 'TCP', 'HTTPS', 'HTTP', 'HTTP', 'TERMINATED_HTTPS'];
const TIMEOUTS = [0, 1000, 5000, 50_000, 3_600_000];

export const randomListener = (random: Random, request: ListenerRequest): RandomListener => {
  const { id, port, isLvs, place } = request;
  const protocol = isLvs
    ? random.pick(['UDP', 'UDP', 'SCTP'])
    : random.pick(place.isAlone ? [...PROTOCOLS, 'PROMETHEUS'] : PROTOCOLS);
  const isHttp = protocol === 'HTTP' || protocol === 'TERMINATED_HTTPS';
  return {
    id,
    name: random.pick(HOSTILE_NAMES),
    protocol,
    protocol_port: port,
    default_pool: random.chance(0.93) ? choosePool(random, protocol, request) : null,
    connection_limit: random.pick([-1, -1, 0, 1, 100, 5000, 100_000]),
    enabled: random.chance(0.92),
    peer_port: 1025,
    insert_headers: isHttp ? randomHeaders(random, protocol) : {},
    timeout_client_data: random.pick(TIMEOUTS),
    timeout_member_connect: random.pick(TIMEOUTS),
    timeout_member_data: random.pick(TIMEOUTS),
    timeout_tcp_inspect: random.pick([0, 0, 100]),
    allowed_cidrs: random.chance(0.3) ? ['192.0.2.0/24', '2001:db8::/32'] : [],
    tls: protocol === 'TERMINATED_HTTPS' ? randomTls(random) : null,
    l7policies: isHttp
      ? Array.from({ length: random.pick([0, 0, 1, 2, 4]) }, (_, index) =>
          randomPolicy(random, { protocol, position: index + 1, request }),
        )
      : [],
  };
};

const choosePool = (
  random: Random,
  protocol: string,
  { pools, newPool }: ListenerRequest,
): string | null => {
  const wanted = POOLS[protocol] ?? [];
  if (wanted.length === 0) return null;
  const shared = pools.filter((pool) => wanted.includes(pool.protocol));
  if (shared.length > 0 && random.chance(0.15)) return random.pick(shared).id;
  return newPool(random.pick(wanted)).id;
};

const randomHeaders = (random: Random, protocol: string): Record<string, string> => {
  const names = ['X-Forwarded-For', 'X-Forwarded-Port', 'X-Forwarded-Proto'];
  if (protocol === 'TERMINATED_HTTPS') {
    names.push('X-SSL-Client-Verify', 'X-SSL-Client-DN', 'X-SSL-Issuer', 'X-SSL-Client-SHA1');
  }
  return Object.fromEntries(
    random
      .sample(names, random.integer(0, names.length))
      .map((name) => [name, random.pick(['true', 'True', 'false'])]),
  );
};

const randomTls = (random: Random): ListenerTls => {
  const hasClients = random.chance(0.3);
  return {
    default: CERTIFICATES.www,
    sni: random.sample([CERTIFICATES.sni1, CERTIFICATES.sni2], random.integer(0, 2)),
    versions: random.chance(0.7) ? random.pick(TLS_VERSIONS) : null,
    ciphers: random.chance(0.5) ? CIPHERS : null,
    alpn: random.chance(0.5) ? ['h2', 'http/1.1', 'http/1.0'] : null,
    client_ca: hasClients ? CERTIFICATES.ca : null,
    client_authentication: random.pick(['NONE', 'OPTIONAL', 'MANDATORY']),
    client_crl: hasClients && random.chance(0.5) ? CERTIFICATES.crl : null,
  };
};

const randomPolicy = (
  random: Random,
  { protocol, position, request }: { protocol: string; position: number; request: ListenerRequest },
): Policy => {
  const base = {
    id: random.uuid(),
    enabled: random.chance(0.9),
    position,
    rules: Array.from({ length: random.integer(0, 3) }, () => randomRule(random, protocol)),
  };
  const action = random.pick(['REJECT', 'REDIRECT_TO_POOL', 'REDIRECT_TO_URL', 'REDIRECT_PREFIX']);
  const redirect_http_code = random.pick([301, 302, 303, 307, 308]);
  switch (action) {
    case 'REDIRECT_TO_POOL': {
      const pool = choosePool(random, protocol, request);
      return pool === null
        ? { ...base, action: 'REJECT' }
        : { ...base, action, redirect_pool: pool };
    }
    case 'REDIRECT_TO_URL':
      return { ...base, action, redirect_url: random.pick(URLS), redirect_http_code };
    case 'REDIRECT_PREFIX':
      return { ...base, action, redirect_prefix: 'https://www.example.com', redirect_http_code };
    default:
      return { ...base, action };
  }
};

const URLS = [
  'http://www.example.com/',
  'https://example.com/a?b=c&d=e',
  "https://[2001:db8::1]:8443/it's",
];

/** Header values as the API takes them: nearly all that can be typed, and blanks between quotes. */
const VALUES = [
  ...[
    '/api',
    'www.example.com',
    'a"b',
    "it's",
    'a#b',
    'back\\slash',
    '$HOME',
    '%[src]',
    '{ssl_fc}',
  ],
  ...['a&b<c>', '"quoted with blanks"', 'if', '!not', '\\', "'; global", '{{7*7}}'],
];
/** Regular expressions that Python and PCRE both take, before and after the renderer's escapes. */
const EXPRESSIONS = ['^/v[12]/', '.*\\.png$', '(a|b) c', 'straße', '[[:alpha:]]+', '"', 'x{2,3}'];

const randomRule = (random: Random, protocol: string): Policy['rules'][number] => {
  const types = ['HOST_NAME', 'PATH', 'FILE_TYPE', 'HEADER', 'COOKIE'];
  if (protocol === 'TERMINATED_HTTPS') {
    types.push('SSL_CONN_HAS_CERT', 'SSL_VERIFY_RESULT', 'SSL_DN_FIELD');
  }
  const type = random.pick(types);
  const compares = ['REGEX', 'EQUAL_TO'];
  if (type !== 'FILE_TYPE') compares.push('STARTS_WITH', 'ENDS_WITH', 'CONTAINS');
  const isFixed = type === 'SSL_CONN_HAS_CERT' || type === 'SSL_VERIFY_RESULT';
  const compare_type = isFixed ? 'EQUAL_TO' : random.pick(compares);
  return {
    id: random.uuid(),
    type,
    compare_type,
    key: keyOf(type, random),
    value: isFixed
      ? type === 'SSL_VERIFY_RESULT'
        ? '0'
        : 'True'
      : random.pick(compare_type === 'REGEX' ? EXPRESSIONS : VALUES),
    invert: random.chance(0.3),
    enabled: random.chance(0.9),
  };
};

const keyOf = (type: string, random: Random): string | null => {
  if (type === 'HEADER' || type === 'COOKIE') return random.pick(['X-Test', 'a.b', 'x|y', '$k']);
  return type === 'SSL_DN_FIELD' ? random.pick(['CN', 'OU', 'dn-1']) : null;
};
