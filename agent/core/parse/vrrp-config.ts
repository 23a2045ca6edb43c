// SPDX-License-Identifier: Apache-2.0
// The keepalived config of VRRP (contract 5.6). It goes to a real keepalived, which runs as root and can run
// programs, read files and open sockets: so it may hold what controllers write and its harmless neighbours only.
import { parseCidr, parseIpAddress } from '../model/address.js';
import { ConfigRejected } from './config-rejected.js';
import { lexKeepalived, type Statement } from './keepalived-lexer.js';
import { defaultLimits } from './limits.js';
import { quoted } from './values.js';

/** What may follow a directive on its line, and inside its block; without `block` it has none. */
interface Rule {
  readonly words: (words: readonly string[]) => boolean;
  readonly block?: Grammar;
}

/** Directives by name, or what each line of the block must look like. */
type Grammar = ReadonlyMap<string, Rule> | ((words: readonly string[]) => boolean);

/**
 * Throws ConfigRejected at the first line that is not a controller's. `basePath`: the one program that keepalived
 * runs is `<base_path>/vrrp/check_script.sh`, which is the agent's own.
 */
export const checkVrrpConfig = (text: string, basePath: string): void => {
  const statements = lexKeepalived(text, defaultLimits);
  // They join lines and put others' text into them, also behind a comment sign: keepalived would read another file.
  for (const [i, line] of text.split('\n').entries()) {
    const sign = /[\\$~@`]/.exec(line)?.[0];
    if (sign !== undefined) throw new ConfigRejected(`the sign ${quoted(sign)}`, i + 1);
  }
  checkBlock(statements, grammarOf(`${basePath}/vrrp/check_script.sh`));
};

const checkBlock = (statements: readonly Statement[], grammar: Grammar): void => {
  for (const { kind, words, line, block } of statements) {
    if (kind === 'comment') continue;
    const reject = (what: string): never => {
      throw new ConfigRejected(`${what} ${quoted(words.join(' '))}`, line);
    };
    if (!words.every((word) => /^[\w.:/,-]+$/.test(word))) reject('signs in');
    if (typeof grammar === 'function') {
      if (block !== null || !grammar(words)) reject('entry');
      continue;
    }
    const rule = grammar.get(words[0]);
    if (rule === undefined) return reject('directive');
    if (!rule.words(words.slice(1))) reject('values of');
    if ((block === null) !== (rule.block === undefined)) reject('block of');
    if (block !== null && rule.block !== undefined) checkBlock(block, rule.block);
  }
};

const none = (words: readonly string[]): boolean => words.length === 0;
const one =
  (pattern: RegExp) =>
  ([word, ...rest]: readonly string[]): boolean =>
    rest.length === 0 && word !== undefined && pattern.test(word);
const number = one(/^-?\d{1,9}(\.\d{1,6})?$/);
const numberOrNone = (words: readonly string[]): boolean => none(words) || number(words);
const name = one(/^[\w.-]{1,64}$/);
const address = ([word, ...rest]: readonly string[]): boolean =>
  rest.length === 0 && parseIpAddress(word ?? '') !== null;
/** `10.0.0.10`, `10.0.0.10/32 dev eth1`. */
const virtualAddress = ([word = '', ...rest]: readonly string[]): boolean =>
  isNetwork(word) && rest.every((option) => !option.startsWith('/'));
/** `10.0.0.0/24 dev eth1 src 10.0.0.10 scope link table 1`, `default via 10.0.0.1 dev eth1 onlink table 1`. */
const route = ([word = '', ...rest]: readonly string[]): boolean =>
  (word === 'default' || isNetwork(word)) && rest.every((option) => !option.startsWith('/'));
/** `from 10.0.0.10/32 table 1 priority 100`. */
const rule = ([word, from = '', ...rest]: readonly string[]): boolean =>
  word === 'from' && isNetwork(from) && rest.every((option) => !option.startsWith('/'));
const isNetwork = (word: string): boolean =>
  parseIpAddress(word) !== null || parseCidr(word) !== null;

const all = (names: readonly string[], words: Rule['words']): (readonly [string, Rule])[] =>
  names.map((directive) => [directive, { words }]);

const grammarOf = (checkScript: string): Grammar =>
  new Map<string, Rule>([
    ['vrrp_script', { words: name, block: scriptGrammar(checkScript) }],
    ['vrrp_instance', { words: name, block: INSTANCE }],
  ]);

const scriptGrammar = (checkScript: string): Grammar =>
  new Map<string, Rule>([
    ['script', { words: ([path, ...rest]) => path === checkScript && rest.length === 0 }],
    ...all(['interval', 'timeout', 'fall', 'rise', 'weight'], number),
    ...all(['init_fail'], none),
  ]);

const INSTANCE: Grammar = new Map<string, Rule>([
  ['interface', { words: one(/^[\w.:-]{1,15}$/) }],
  ['state', { words: one(/^(MASTER|BACKUP)$/) }],
  ...all(['virtual_router_id', 'priority', 'advert_int', 'preempt_delay', 'version'], number),
  ...all(['garp_master_delay', 'garp_master_repeat', 'garp_master_refresh'], number),
  ...all(['garp_master_refresh_repeat', 'garp_lower_prio_delay', 'garp_lower_prio_repeat'], number),
  ...all(['garp_interval', 'gna_interval', 'down_timer_adverts', 'debug'], numberOrNone),
  ...all(['preempt', 'nopreempt', 'accept', 'no_accept', 'native_ipv6'], none),
  ...all(['dont_track_primary', 'unicast_fault_no_peer'], none),
  ['unicast_src_ip', { words: address }],
  ['unicast_peer', { words: none, block: address }],
  ['virtual_ipaddress', { words: none, block: virtualAddress }],
  ['virtual_ipaddress_excluded', { words: none, block: virtualAddress }],
  ['virtual_routes', { words: none, block: route }],
  ['virtual_rules', { words: none, block: rule }],
  ['track_script', { words: none, block: name }],
  [
    'authentication',
    {
      words: none,
      block: new Map<string, Rule>([
        ['auth_type', { words: one(/^(PASS|AH)$/) }],
        ['auth_pass', { words: one(/^[\w.-]{1,64}$/) }],
      ]),
    },
  ],
]);
