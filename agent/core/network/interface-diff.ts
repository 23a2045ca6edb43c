// SPDX-License-Identifier: Apache-2.0
// From what an interface has and what its file wants to the `ip` commands between the two.
import { type Cidr, familyOf, parseCidr, parseIpAddress } from '../model/address.js';
import type { InterfaceFile, InterfaceRoute, InterfaceRule } from './interface-file.js';

/** As `ip -json addr show` has it. */
export interface KernelAddress {
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
  readonly dynamic: boolean;
  /** Duplicate detection still runs: the kernel does not use the address yet. */
  readonly tentative: boolean;
  /** Duplicate detection found another owner. */
  readonly duplicate: boolean;
}

/** As `ip -json route show table all` has it. */
export interface KernelRoute {
  readonly dst: string;
  readonly gateway: string | null;
  readonly prefsrc: string | null;
  readonly table: string;
  readonly protocol: string;
  readonly family: 4 | 6;
  readonly device: string;
}

/** As `ip -json rule show` has it. */
export interface KernelRule {
  readonly src: string;
  readonly srcLength: number | null;
  readonly table: string;
  readonly priority: number;
  readonly protocol: string;
  readonly family: 4 | 6;
}

/** Lines for `ip -batch`, without the word `ip`. */
export interface InterfaceCommands {
  readonly addresses: readonly string[];
  /** After the addresses have been detected as unique: routes name them as their source. */
  readonly routes: readonly string[];
}

/**
 * The difference only: what is there and wanted is not touched, so that repeated plug calls cost no packet.
 * Left alone: link-local addresses, what a protocol assigned, and everything of keepalived (contract P24).
 */
export const diffInterface = (
  wanted: InterfaceFile,
  current: {
    readonly addresses: readonly KernelAddress[];
    readonly routes: readonly KernelRoute[];
    readonly rules: readonly KernelRule[];
  },
): InterfaceCommands => ({
  addresses: diffAddresses(wanted, current.addresses),
  routes: [
    ...diffRoutes(wanted, current.routes),
    // Only the VIP's file speaks about rules; another one would delete the VIP's.
    ...(wanted.if_type === 'vip' ? diffRules(wanted.rules, current.rules) : []),
  ],
});

const diffAddresses = (wanted: InterfaceFile, current: readonly KernelAddress[]): string[] => {
  const owned = wanted.addresses.filter(({ octavia_owned: mine }) => mine !== false);
  const named = new Set(wanted.addresses.map(addressKey));
  const present = new Set(current.map(({ local, prefixlen }) => `${local}/${prefixlen}`));
  const missing = owned.map(addressKey).filter((key) => key !== null && !present.has(key));
  const strange = current.filter(
    ({ local, prefixlen, dynamic }) =>
      !dynamic && !isLinkLocal(local) && !named.has(`${local}/${prefixlen}`),
  );
  return [
    ...missing.map((key) => `addr add ${String(key)} dev ${wanted.name}`),
    ...strange.map(({ local, prefixlen }) => `addr del ${local}/${prefixlen} dev ${wanted.name}`),
  ];
};

const isLinkLocal = (address: string): boolean => /^fe[89ab][0-9a-f]:/i.test(address);

const addressKey = ({ address = '', prefixlen }: InterfaceFile['addresses'][number]) => {
  const canonical = parseIpAddress(address);
  return canonical === null || prefixlen === undefined ? null : `${canonical}/${prefixlen}`;
};

const diffRoutes = (wanted: InterfaceFile, current: readonly KernelRoute[]): string[] => {
  const mine = current.filter(({ protocol }) => protocol === 'static' || protocol === '4');
  const present = new Map(mine.map((route) => [kernelRouteKey(route), route]));
  const keys = new Set(wanted.routes.map((route) => routeKey(route)));
  return [
    ...wanted.routes.flatMap((route) =>
      present.has(routeKey(route)) ? [] : addRoute(route, wanted.name),
    ),
    ...[...present]
      .filter(([key]) => !keys.has(key))
      .map(([, route]) => deleteRoute(route, wanted.name)),
  ];
};

const canonicalDestination = (text: string): Cidr | null => parseCidr(text);

const routeKey = (route: InterfaceRoute): string => {
  const dst = canonicalDestination(route.dst);
  return [
    dst === null ? route.dst : `${dst.address}/${dst.prefix}`,
    canonicalAddress(route.gateway),
    canonicalAddress(route.prefsrc),
    route.table ?? 'main',
  ].join(' ');
};

const kernelRouteKey = (route: KernelRoute): string => {
  const anywhere = route.family === 4 ? '0.0.0.0/0' : '::/0';
  const dst = canonicalDestination(route.dst === 'default' ? anywhere : route.dst);
  return [
    dst === null ? route.dst : `${dst.address}/${dst.prefix}`,
    canonicalAddress(route.gateway ?? undefined),
    canonicalAddress(route.prefsrc ?? undefined),
    route.table,
  ].join(' ');
};

const canonicalAddress = (text: string | undefined): string =>
  text === undefined ? '-' : (parseIpAddress(text) ?? text);

const addRoute = (route: InterfaceRoute, name: string): string[] => {
  const dst = canonicalDestination(route.dst);
  if (dst === null) return [];
  const words = [
    `-${familyOf(dst.address)} route add ${dst.address}/${dst.prefix}`,
    ...(route.gateway === undefined ? [] : [`via ${canonicalAddress(route.gateway)}`]),
    `dev ${name} proto static`,
    ...(route.scope === undefined ? [] : [`scope ${route.scope}`]),
    ...(route.prefsrc === undefined ? [] : [`src ${canonicalAddress(route.prefsrc)}`]),
    ...(route.table === undefined ? [] : [`table ${route.table}`]),
    ...(route.flags ?? []).filter((flag) => flag === 'onlink'),
  ];
  return [words.join(' ')];
};

const deleteRoute = (route: KernelRoute, name: string): string =>
  [
    `-${route.family} route del ${route.dst}`,
    ...(route.gateway === null ? [] : [`via ${route.gateway}`]),
    `dev ${name} proto static`,
    ...(route.prefsrc === null ? [] : [`src ${route.prefsrc}`]),
    `table ${route.table}`,
  ].join(' ');

const FOREIGN_RULES = new Set(['kernel', '2', 'keepalived', '18']);

const diffRules = (wanted: readonly InterfaceRule[], current: readonly KernelRule[]): string[] => {
  const mine = current.filter(
    ({ protocol, table, src }) =>
      !FOREIGN_RULES.has(protocol) && !(src === 'all' && /^(local|main|default)$/.test(table)),
  );
  const present = new Map<string, KernelRule>(
    mine.map((rule) => {
      const length = rule.srcLength ?? (rule.family === 4 ? 32 : 128);
      return [`${canonicalAddress(rule.src)}/${length} ${rule.table}`, rule] as const;
    }),
  );
  const keys = new Set(wanted.map(ruleKey));
  return [
    ...wanted
      .filter((rule) => !present.has(ruleKey(rule)))
      .map((rule) => {
        const from = `${canonicalAddress(rule.src)}/${rule.src_len}`;
        return `${ruleFamily(rule)} rule add from ${from} table ${rule.table} protocol static`;
      }),
    ...[...present]
      .filter(([key]) => !keys.has(key))
      .map(([, rule]) => `-${rule.family} rule del priority ${rule.priority} table ${rule.table}`),
  ];
};

const ruleKey = (rule: InterfaceRule): string =>
  `${canonicalAddress(rule.src)}/${rule.src_len} ${rule.table}`;

const ruleFamily = (rule: InterfaceRule): string => (rule.src.includes(':') ? '-6' : '-4');
