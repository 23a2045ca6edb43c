// SPDX-License-Identifier: Apache-2.0
// The kernel's half of the rules of SR-IOV ports (contract 5.8, P29): what the datapath takes it filters itself, and
// never reaches these; what it leaves to the kernel, HAProxy's listeners first, does.
import { familyOf, parseCidr } from '../model/address.js';
import type { FirewallRule } from './rules.js';

/** What every port needs to work at all: path MTU, neighbours, leases. */
const ALWAYS: readonly string[] = [
  'icmp type destination-unreachable accept',
  'icmpv6 type { nd-neighbor-solicit, nd-router-advert, nd-neighbor-advert, packet-too-big, destination-unreachable } accept',
  'udp sport 67 udp dport 68 accept',
  'udp sport 547 udp dport 546 accept',
];

const LOOPBACK: readonly string[] = [
  'iif lo accept',
  'iif != lo ip saddr 127.0.0.0/8 drop',
  'iif != lo ip6 saddr ::1 drop',
];

/**
 * A whole nft script, which replaces the table in one step. `rules` null: none were ever sent, and nothing but the
 * above comes in. `vipInterface`: the port that the rules are about.
 */
export const renderFirewall = (
  rules: readonly FirewallRule[] | null,
  vipInterface: string,
): string => {
  const known = ['ct state { established, related } accept', 'ct state invalid drop'];
  const body = [
    ...(rules === null ? [] : known),
    ...LOOPBACK,
    ...ALWAYS,
    ...(rules === null ? [] : [`iifname "${vipInterface}" jump amphora_vip_chain`]),
  ];
  return `# Made by amphora-agent: changes here are lost.
table inet amphora_table
delete table inet amphora_table
table inet amphora_table {
    chain amphora_vip_chain {
${linesOf((rules ?? []).map(ruleLine))}    }
    chain amphora_chain {
        type filter hook input priority filter; policy drop;
${linesOf(body)}    }
}
`;
};

const linesOf = (lines: readonly string[]): string =>
  lines.map((line) => `        ${line}\n`).join('');

const ruleLine = ({ protocol, cidr, port }: FirewallRule): string => {
  const what = protocol === 'VRRP' ? 'meta l4proto 112' : `${protocol.toLowerCase()} dport ${port}`;
  return `${sourceWords(cidr)}${what} accept`;
};

/** Anyone where there is no prefix, and for IPv4's whole: that is what the controller means by it. */
const sourceWords = (cidr: string | null): string => {
  const parsed = cidr === null || cidr === '0.0.0.0/0' ? null : parseCidr(cidr);
  if (parsed === null) return '';
  const family = familyOf(parsed.address) === 4 ? 'ip' : 'ip6';
  return `${family} saddr ${parsed.address}/${parsed.prefix} `;
};
