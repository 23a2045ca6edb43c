// SPDX-License-Identifier: Apache-2.0
// Bodies of the two plug calls -> ports, refused in the reference's words and in its order (contract 1.5, 6-7).
import { AgentError, frameworkError } from '../../errors.js';
import { type Cidr, addressBytes, parseCidr, parseIpAddress } from '../model/address.js';
import type { IpAddress } from '../model/load-balancer.js';
import type { FixedIp, HostRoute, VipAddress, VipPort } from './interface-file.js';

export interface VipPlug {
  readonly mac: string;
  readonly port: VipPort;
}

export interface NetworkPlug {
  readonly mac: string;
  readonly port: Pick<VipPort, 'mtu' | 'isSriov' | 'fixedIps'>;
  /** Set when the port is the VIP's. */
  readonly vip: Omit<VipPort, 'fixedIps'> | null;
}

/** Throws AgentError 400. `vip` comes from the path, `body` is parsed JSON or undefined. */
export const parseVipPlug = (vip: string, body: unknown): VipPlug => {
  const refuse = (): never => {
    throw frameworkError('REQUEST_INVALID', 'Invalid subnet information');
  };
  if (!isObject(body)) return refuse();
  for (const key of ['subnet_cidr', 'gateway', 'mac_address']) if (!(key in body)) refuse();
  const mac = parseMac(body['mac_address']) ?? refuse();
  return { mac, port: { ...vipPortOf(vip, body), fixedIps: [] } };
};

/** Throws AgentError 400. */
export const parseNetworkPlug = (body: unknown): NetworkPlug => {
  const mac = isObject(body) ? parseMac(body['mac_address']) : null;
  if (!isObject(body) || mac === null) {
    throw frameworkError('REQUEST_INVALID', 'Invalid port information');
  }
  const vip = body['vip_net_info'];
  try {
    return {
      mac,
      port: {
        mtu: numberOf(body['mtu']),
        isSriov: body['is_sriov'] === true,
        fixedIps: listOf(body['fixed_ips']).map(fixedIpOf),
      },
      vip: isObject(vip) ? vipPortOf(String(vip['vip']), vip) : null,
    };
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('REQUEST_INVALID', { message: 'Invalid network port' }, { cause: error });
  }
};

const vipPortOf = (vip: string, body: Record<string, unknown>): Omit<VipPort, 'fixedIps'> => {
  const vips = within('Invalid VIP', () => [
    vipAddressOf({ ...body, ip_address: vip }),
    ...listOf(body['additional_vips']).map(vipAddressOf),
  ]);
  const vrrp = body['vrrp_ip'];
  return {
    vips,
    vrrpIp:
      vrrp === undefined || vrrp === null
        ? null
        : within('Invalid VRRP Address', () => addressOf(vrrp)),
    mtu: numberOf(body['mtu']),
    isSriov: body['is_sriov'] === true,
  };
};

const within = <Value>(message: string, parse: () => Value): Value => {
  try {
    return parse();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AgentError('REQUEST_INVALID', { message: `${message}: ${reason}` }, { cause: error });
  }
};

const vipAddressOf = (value: unknown): VipAddress => addressOnSubnet(value);
const fixedIpOf = (value: unknown): FixedIp => addressOnSubnet(value);

const addressOnSubnet = (value: unknown): VipAddress & FixedIp => {
  if (!isObject(value)) throw new Error('not an object');
  const gateway = value['gateway'];
  return {
    address: addressOf(value['ip_address']),
    subnet: networkOf(value['subnet_cidr']),
    gateway: gateway === undefined || gateway === null ? null : addressOf(gateway),
    hostRoutes: listOf(value['host_routes']).map(hostRouteOf),
  };
};

const hostRouteOf = (value: unknown): HostRoute => {
  if (!isObject(value)) throw new Error('a host route is not an object');
  return { destination: networkOf(value['destination']), nexthop: addressOf(value['nexthop']) };
};

/** The words of Python's ipaddress module, which the reference passes on. */
const addressOf = (value: unknown): IpAddress => {
  const address = typeof value === 'string' ? parseIpAddress(value) : null;
  if (address !== null) return address;
  throw new Error(`${quoted(value)} does not appear to be an IPv4 or IPv6 address`);
};

const networkOf = (value: unknown): Cidr => {
  const cidr = typeof value === 'string' ? parseCidr(value) : null;
  if (cidr === null) {
    throw new Error(`${quoted(value)} does not appear to be an IPv4 or IPv6 network`);
  }
  if (hasHostBits(cidr)) throw new Error(`${String(value)} has host bits set`);
  return cidr;
};

const hasHostBits = ({ address, prefix }: Cidr): boolean =>
  addressBytes(address).some((byte, i) => {
    const networkBits = Math.min(Math.max(prefix - 8 * i, 0), 8);
    return (byte & (0xff >> networkBits)) !== 0;
  });

const quoted = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : JSON.stringify(value);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as unknown[];
  throw new Error(`${quoted(value)} is not a list`);
};
const numberOf = (value: unknown): number | null =>
  typeof value === 'number' && Number.isInteger(value) && value >= 68 && value <= 65536
    ? value
    : null;
const parseMac = (value: unknown): string | null =>
  typeof value === 'string' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value)
    ? value.toLowerCase()
    : null;
