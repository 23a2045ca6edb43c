// SPDX-License-Identifier: Apache-2.0
// Which of the two grammars a text is in: for tools that are handed files without an API call.

export type Grammar = 'haproxy' | 'lvs';

const lvs =
  /^(?:virtual_server|virtual_server_group|net_namespace)[ \t]|^# (?:Configuration for )?Listener [^ \t\n]+(?: is disabled)?[ \t]*$/m;
const haproxy = /^[ \t]*(?:global|defaults|frontend|backend|listen)(?:[ \t]|$)/m;

/** Null for a text of neither grammar, a VRRP config for example. */
export const detectGrammar = (text: string): Grammar | null => {
  if (/^vrrp_/m.test(text)) return null;
  if (lvs.test(text)) return 'lvs';
  return haproxy.test(text) ? 'haproxy' : null;
};
