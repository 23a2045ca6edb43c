// SPDX-License-Identifier: Apache-2.0
// The rule file of SR-IOV ports and its way into the kernel (contract 5.8).
import { rename, rm } from 'node:fs/promises';
import { renderFirewall } from '../core/network/firewall.js';
import type { FirewallRule } from '../core/network/rules.js';
import { readIfPresent, writeFileAtomic } from './files.js';
import { run } from './run.js';

export interface FirewallOptions {
  /** Path of the namespace. */
  readonly netns: string;
  readonly file: string;
  /** Name of the VIP's interface. */
  readonly vipInterface: string;
}

/** Before an SR-IOV port comes up: the rules of the file, or none but what a port needs. Throws when nft does. */
export const loadFirewall = async (options: FirewallOptions): Promise<void> => {
  if ((await readIfPresent(options.file)) === null) await write(options, null);
  await run('nft', ['-f', options.file], { netns: options.netns });
};

/** The whole set, in one step. Throws when nft does; kernel and file then have what they had. */
export const replaceFirewall = async (
  options: FirewallOptions,
  rules: readonly FirewallRule[],
): Promise<void> => {
  const candidate = `${options.file}.new`;
  try {
    await write({ ...options, file: candidate }, rules);
    await run('nft', ['-f', candidate], { netns: options.netns });
    await rename(candidate, options.file);
  } finally {
    await rm(candidate, { force: true });
  }
};

const write = (
  { file, vipInterface }: FirewallOptions,
  rules: readonly FirewallRule[] | null,
): Promise<void> => writeFileAtomic(file, renderFirewall(rules, vipInterface), 0o600);
