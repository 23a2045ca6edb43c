// SPDX-License-Identifier: Apache-2.0
// Pools, members and monitors at random.
import type { MemberModel, PoolModel } from '../core/controller-cases.js';
import type { Random } from '../support/random.js';
import { CERTIFICATES } from './certificates.js';
import { HOSTILE_NAMES, type Place } from './random-model.js';

export interface PoolTls {
  readonly enabled: true;
  readonly versions: readonly string[];
  readonly ciphers: string | null;
  readonly alpn: readonly string[] | null;
  readonly client_cert: string | null;
  readonly ca_cert: string | null;
  readonly crl: string | null;
}

export interface RandomPool extends PoolModel {
  readonly name: string;
  readonly tls: PoolTls | null;
}

export interface PoolRequest {
  readonly protocol: string;
  readonly vips: readonly string[];
  readonly place: Place;
}

export const randomPool = (random: Random, { protocol, vips, place }: PoolRequest): RandomPool => {
  const isLvs = protocol === 'UDP' || protocol === 'SCTP';
  return {
    id: random.uuid(),
    name: random.pick(HOSTILE_NAMES),
    protocol,
    lb_algorithm: random.pick(['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP']),
    enabled: random.chance(0.92),
    members: randomMembers(random, { vips, place, isLvs }),
    health_monitor: random.chance(0.5) ? randomMonitor(random, protocol) : null,
    session_persistence: random.chance(0.4) ? randomPersistence(random, isLvs) : null,
    tls: !isLvs && random.chance(0.12) ? randomTls(random) : null,
  };
};

const WEIGHTS = [1, 1, 1, 1, 2, 3, 5, 7, 10, 50, 100, 256, 0];

const randomMembers = (
  random: Random,
  { vips, place, isLvs }: { vips: readonly string[]; place: Place; isLvs: boolean },
): MemberModel[] => {
  const isIpv6 = (address: string): boolean => address.includes(':');
  const families = new Set(vips.map(isIpv6));
  // Mostly members that the datapath can serve; the others keep HAProxy busy.
  const mixes = random.chance(isLvs ? 0.5 : 0.15);
  const addresses = place.memberAddresses.filter((one) => mixes || families.has(isIpv6(one)));
  const ends = addresses.flatMap((address) =>
    place.memberPorts.map((protocol_port) => ({ address, protocol_port })),
  );
  if (random.chance(0.02)) ends.push({ address: random.pick(vips), protocol_port: 9 });
  const count = random.pick([0, 1, 2, 3, 3, 4, 5, 8]);
  return random.sample(ends, count).map((end) => ({
    ...end,
    id: random.uuid(),
    weight: random.pick(WEIGHTS),
    enabled: random.chance(0.9),
    backup: random.chance(0.15),
    ...randomMonitorEnd(random, { addresses, isLvs }),
  }));
};

/** HAProxy 2.6 refuses IPv6 in `addr`, so a controller's upload with it is refused by any amphora. */
const randomMonitorEnd = (
  random: Random,
  { addresses, isLvs }: { addresses: readonly string[]; isLvs: boolean },
): Pick<MemberModel, 'monitor_address' | 'monitor_port'> => {
  const usable = addresses.filter((one) => isLvs || !one.includes(':'));
  const isElsewhere = usable.length > 0 && random.chance(0.1);
  return {
    monitor_address: isElsewhere ? random.pick(usable) : null,
    monitor_port: random.chance(0.1) ? random.integer(1, 65_535) : null,
  };
};

const PATHS = ['/', '/health', '/a-b_c.d~e', '/a%20b', "/it's", '/a&b', '/x;y=1', '/(a)*+,=:@!$'];

const randomMonitor = (random: Random, protocol: string): PoolModel['health_monitor'] => {
  const types =
    protocol === 'UDP'
      ? ['UDP-CONNECT', 'UDP-CONNECT', 'HTTP', 'TCP']
      : protocol === 'SCTP'
        ? ['SCTP', 'SCTP', 'HTTP', 'TCP']
        : ['TCP', 'TCP', 'HTTP', 'HTTPS', 'TLS-HELLO', 'PING'];
  const type = random.pick(types);
  const delay = random.pick([2, 3, 5, 10, 30, 60]);
  return {
    id: random.uuid(),
    type,
    delay,
    timeout: random.integer(1, delay),
    rise_threshold: random.integer(1, 10),
    fall_threshold: random.integer(1, 10),
    enabled: random.chance(0.9),
    ...(type === 'HTTP' || type === 'HTTPS' ? randomRequest(random) : {}),
  };
};

const randomRequest = (random: Random) => {
  const http_version = random.pick([null, 1.0, 1.1]);
  return {
    http_method: random.pick(['GET', 'GET', 'HEAD', 'POST', 'OPTIONS']),
    url_path: random.pick(PATHS),
    expected_codes: random.pick(['200', '200-204', '200,301,404', '200-299']),
    ...(http_version === null ? {} : { http_version }),
    ...(http_version === 1.1 && random.chance(0.7) ? { domain_name: 'www.example.com' } : {}),
  };
};

/** Of the names that the API takes (anything but blanks, commas, semicolons, backslashes), those that HAProxy takes. */
const COOKIES = ['session', 'JSESSIONID', 'a.b-c_d', 'a&b', 'a<b>', 'a=b', '$x', '%s'];

const randomPersistence = (random: Random, isLvs: boolean): PoolModel['session_persistence'] => {
  if (!isLvs && random.chance(0.3)) return { type: 'HTTP_COOKIE' };
  if (!isLvs && random.chance(0.4)) {
    return { type: 'APP_COOKIE', cookie_name: random.pick(COOKIES) };
  }
  return {
    type: 'SOURCE_IP',
    ...(isLvs && random.chance(0.7) ? { persistence_timeout: random.integer(1, 3600) } : {}),
    ...(isLvs && random.chance(0.7)
      ? { persistence_granularity: random.pick(['255.255.255.255', '255.255.0.0', '255.0.0.0']) }
      : {}),
  };
};

export const TLS_VERSIONS = [['TLSv1.2', 'TLSv1.3'], ['TLSv1.3'], ['TLSv1.1', 'TLSv1.2']] as const;
export const CIPHERS = 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256';

const randomTls = (random: Random): PoolTls => {
  const ca = random.chance(0.5);
  return {
    enabled: true,
    versions: random.pick(TLS_VERSIONS),
    ciphers: random.chance(0.5) ? CIPHERS : null,
    alpn: random.chance(0.3) ? ['h2', 'http/1.1'] : null,
    client_cert: random.chance(0.3) ? CERTIFICATES.client : null,
    ca_cert: ca ? CERTIFICATES.ca : null,
    crl: ca && random.chance(0.5) ? CERTIFICATES.crl : null,
  };
};
