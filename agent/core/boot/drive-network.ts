// SPDX-License-Identifier: Apache-2.0
// network_data.json of a config drive -> files of systemd-networkd, for the interfaces that the machine booted with.
import { addressBytes, familyOf, parseCidr, parseIpAddress } from '../model/address.js';
import type { IpAddress } from '../model/load-balancer.js';

export interface NetworkFile {
  readonly name: string;
  readonly text: string;
}

interface Link {
  readonly id: string;
  readonly mac: string;
  readonly mtu: number | null;
}

/** What one entry of `networks` adds to the file of its link. */
interface Part {
  readonly dhcp: 4 | 6 | null;
  readonly routerAdvertisements: boolean;
  readonly addresses: readonly string[];
  readonly routes: readonly { readonly destination: string | null; readonly gateway: IpAddress }[];
}

/**
 * One file per link that is not in `skippedMacs` (those are tenants' ports, which the agent moves). Throws where the
 * document describes something else than plain interfaces, or a value is not what it should be: cloud-init has to
 * deal with such a machine. Name servers are left out: an amphora asks none.
 */
export const networkFiles = (text: string, skippedMacs: ReadonlySet<string>): NetworkFile[] => {
  const document = objectOf(JSON.parse(text), 'network_data.json');
  const networks = listOf(document['networks']).map((value) => objectOf(value, 'network'));
  return listOf(document['links'])
    .map((value) => linkOf(objectOf(value, 'link')))
    .filter(({ mac }) => !skippedMacs.has(mac))
    .map((link) => ({
      name: `10-amphora-${link.mac.replaceAll(':', '')}.network`,
      text: render(link, networks.filter((network) => network['link'] === link.id).map(partOf)),
    }));
};

/** Types that stand for a NIC of the machine; Nova names them by what is behind it. */
const COMPOSED = new Set(['bond', 'vlan']);

const linkOf = (link: Record<string, unknown>): Link => {
  const { id, type, ethernet_mac_address: address, mtu } = link;
  if (typeof id !== 'string' || COMPOSED.has(String(type))) {
    throw new Error(`link of type ${String(type)}: plain interfaces expected`);
  }
  const mac = typeof address === 'string' ? address.toLowerCase() : '';
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) throw new Error(`link ${id}: no MAC address`);
  const isMtu = typeof mtu === 'number' && Number.isInteger(mtu) && mtu >= 68 && mtu <= 65535;
  return { id, mac, mtu: isMtu ? mtu : null };
};

const NOTHING: Part = { dhcp: null, routerAdvertisements: false, addresses: [], routes: [] };

const partOf = (network: Record<string, unknown>): Part => {
  const type = String(network['type']);
  switch (type) {
    case 'ipv4_dhcp':
      return { ...NOTHING, dhcp: 4 };
    case 'ipv6_slaac':
      return { ...NOTHING, routerAdvertisements: true };
    case 'ipv6_dhcp':
    case 'ipv6_dhcpv6-stateful':
    case 'ipv6_dhcpv6-stateless':
      return { ...NOTHING, dhcp: 6, routerAdvertisements: true };
    case 'ipv4':
    case 'ipv6':
      return {
        ...NOTHING,
        addresses: [prefixOf(network, 'ip_address')],
        routes: [
          ...(isText(network['gateway'])
            ? [{ destination: null, gateway: addressOf(network['gateway']) }]
            : []),
          ...listOf(network['routes']).map((value) => routeOf(objectOf(value, 'route'))),
        ],
      };
    default:
      throw new Error(`network of type ${type} is unknown`);
  }
};

const routeOf = (route: Record<string, unknown>) => ({
  destination: prefixOf(route, 'network'),
  gateway: addressOf(route['gateway']),
});

/** `10.0.0.5/24` from an address that bears its prefix or stands beside a netmask. */
const prefixOf = (entry: Record<string, unknown>, key: string): string => {
  const text = String(entry[key]);
  const cidr = parseCidr(text);
  if (cidr === null) throw new Error(`${key} ${text}: an address expected`);
  if (text.includes('/')) return `${cidr.address}/${cidr.prefix}`;
  const mask = entry['netmask'];
  return `${cidr.address}/${mask === undefined ? cidr.prefix : prefixOfMask(addressOf(mask))}`;
};

const prefixOfMask = (mask: IpAddress): number => {
  const bits = [...addressBytes(mask)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  if (!/^1*0*$/.test(bits)) throw new Error(`netmask ${mask} has holes`);
  return bits.indexOf('0') === -1 ? bits.length : bits.indexOf('0');
};

const addressOf = (value: unknown): IpAddress => {
  const address = isText(value) ? parseIpAddress(value) : null;
  if (address === null) throw new Error(`${String(value)}: an address expected`);
  return address;
};

const render = ({ mac, mtu }: Link, parts: readonly Part[]): string => {
  const families = new Set(parts.map(({ dhcp }) => dhcp).filter((family) => family !== null));
  const dhcp =
    families.size === 2 ? 'yes' : families.has(4) ? 'ipv4' : families.has(6) ? 'ipv6' : 'no';
  const advertised = parts.some(({ routerAdvertisements }) => routerAdvertisements);
  const lines = [
    '# Made by amphora-config-drive: changes here are lost.',
    '[Match]',
    `MACAddress=${mac}`,
    ...(mtu === null ? [] : ['', '[Link]', `MTUBytes=${mtu}`]),
    '',
    '[Network]',
    `DHCP=${dhcp}`,
    `IPv6AcceptRA=${advertised ? 'yes' : 'no'}`,
    ...parts.flatMap(({ addresses }) => addresses.map((address) => `Address=${address}`)),
    ...parts.flatMap(({ routes }) => routes.flatMap(renderRoute)),
  ];
  return `${lines.join('\n')}\n`;
};

const renderRoute = ({ destination, gateway }: Part['routes'][number]): string[] => {
  const isDefault = destination === null || /\/0$/.test(destination);
  const target = isDefault ? (familyOf(gateway) === 4 ? '0.0.0.0/0' : '::/0') : destination;
  return ['', '[Route]', `Destination=${target}`, `Gateway=${gateway}`, 'GatewayOnLink=yes'];
};

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const objectOf = (value: unknown, what: string): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${what}: an object expected`);
  }
  return value as Record<string, unknown>;
};
