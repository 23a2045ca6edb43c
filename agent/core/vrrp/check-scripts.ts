// SPDX-License-Identifier: Apache-2.0
// What keepalived's check runs, and so what decides whether this amphora may hold the VIPs (contract 5.6, P31).
import type { Listener } from '../model/load-balancer.js';

/** What must work for this amphora to be of use. */
export interface Duty {
  /** Stats sockets of the HAProxy processes that serve HAProxy configs. */
  readonly haproxySockets: readonly string[];
  /** HAProxy configs in force, also those that the datapath serves whole. */
  readonly haproxyConfigs: number;
  /** Listeners of LVS configs in force. */
  readonly lvsListeners: number;
  /** Listeners that the datapath serves, of either kind of config. */
  readonly datapathListeners: number;
  /** Some listener cannot be served, for want of a file: another amphora may be able to. */
  readonly isIncomplete?: boolean;
}

/**
 * The duty of configs in force. `sockets`: of the HAProxy processes that should run. One that only checks members
 * of LVS listeners does not count: without it their states stay as they are, no reason to move the VIPs.
 */
export const dutyOf = (
  committed: readonly {
    readonly kind: 'haproxy' | 'lvs';
    readonly upload: {
      readonly listeners: readonly Listener[];
      readonly statsSocket: string | null;
    };
  }[],
  sockets: readonly string[],
  isIncomplete = false,
): Duty => {
  const haproxy = committed.filter(({ kind }) => kind === 'haproxy');
  const own = new Set(haproxy.map(({ upload }) => upload.statsSocket));
  const listeners = committed.flatMap(({ upload }) => upload.listeners);
  return {
    haproxySockets: sockets.filter((socket) => own.has(socket)),
    haproxyConfigs: haproxy.length,
    lvsListeners: listeners.filter(({ origin }) => origin === 'lvs').length,
    datapathListeners: listeners.filter(({ engine }) => engine === 'datapath').length,
    isIncomplete,
  };
};

export interface CheckCommands {
  /** Absolute paths. */
  readonly haproxy: string;
  readonly datapath: string;
}

/** The files of `check_scripts/`; null means that the file is not there. */
export interface CheckScripts {
  readonly haproxy: string | null;
  readonly datapath: string | null;
}

/** With no listener yet no amphora shall hold a VIP. */
const REFUSE = 'exit 1\n';
/** As a HAProxy that does not start at all would have it. */
const INCOMPLETE = 'exit 1 # certificates are missing\n';

/**
 * The scripts for a duty. `hadListeners`: there were some and the last is gone, in which case the check passes:
 * who holds the VIPs then does not matter, and moving them would.
 */
export const checkScripts = (
  duty: Duty,
  { commands, hadListeners }: { commands: CheckCommands; hadListeners: boolean },
): CheckScripts => {
  const datapath = duty.datapathListeners > 0 ? `${shellWord(commands.datapath)}; exit $?\n` : null;
  if (duty.isIncomplete === true) return { haproxy: INCOMPLETE, datapath };
  if (duty.haproxyConfigs === 0 && duty.lvsListeners > 0) {
    // An LVS config that is served by nobody has no check of its own, and one must remain.
    return { haproxy: datapath === null ? 'exit 0\n' : null, datapath };
  }
  if (duty.haproxyConfigs === 0 && !hadListeners) return { haproxy: REFUSE, datapath: null };
  const words = [commands.haproxy, ...duty.haproxySockets].map(shellWord);
  return { haproxy: `${words.join(' ')}; exit $?\n`, datapath };
};

/** True for a script that was written after listeners had been there: it stays so over a restart. */
export const knewListeners = (haproxyScript: string | null): boolean =>
  haproxyScript !== null && haproxyScript !== REFUSE;

/** `check_script.sh`: runs every file of a directory and fails when one of them fails, or when there is none. */
export const renderCheckScript = (directory: string): string => `#!/bin/bash
# Made by amphora-agent.
status=0
seen=0
for file in ${shellWord(directory)}/*; do
    [ -f "$file" ] || continue
    seen=1
    bash "$file" || status=1
done
[ "$seen" -eq 1 ] && exit "$status"
exit 1
`;

const shellWord = (word: string): string =>
  /^[\w./:@+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
