// SPDX-License-Identifier: Apache-2.0
// A config of either grammar into its listeners.
import type { IpAddress, Listener } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import { detectGrammar } from './grammar.js';
import { parseHaproxyConfig } from './haproxy-cfg.js';
import { parseLvsConfig } from './keepalived-lvs.js';

export interface ConfigOptions {
  readonly basePath?: string;
  readonly certDir?: string;
  readonly localAddresses?: ReadonlySet<IpAddress>;
}

/** Throws ConfigRejected, also for a text of neither grammar. */
export const parseConfig = (text: string, options: ConfigOptions = {}): readonly Listener[] => {
  switch (detectGrammar(text)) {
    case 'haproxy':
      return parseHaproxyConfig(text, options).listeners;
    case 'lvs':
      return [parseLvsConfig(text, options)];
    case null:
      throw new ConfigRejected('neither a HAProxy nor a keepalived LVS config', 1);
  }
};
