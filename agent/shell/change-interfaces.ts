// SPDX-License-Identifier: Apache-2.0
// One interface, or all that have a file and a link, up or down (contract 5.5).
import { bringDown } from './interface-down.js';
import { type InterfaceOptions, bringUp, readInterfaceFiles } from './interfaces.js';
import { readLinks } from './ip.js';

export type InterfaceAction = 'up' | 'down';

/** `all`: a detached port leaves its file, which is skipped. Throws on the first that fails. */
export const changeInterfaces = async (
  options: InterfaceOptions,
  action: InterfaceAction,
  name: string,
): Promise<void> => {
  const files = await readInterfaceFiles(options);
  const chosen =
    name === 'all' ? await withLinks(options.netns, files) : files.filter((f) => f.name === name);
  if (name !== 'all' && chosen.length === 0) throw new Error(`no interface file for ${name}`);
  for (const file of chosen) {
    await (action === 'up' ? bringUp(options, file) : bringDown(options.netns, file));
  }
};

const withLinks = async <File extends { readonly name: string }>(
  netns: string,
  files: readonly File[],
): Promise<File[]> => {
  const present = new Set((await readLinks(netns)).map(({ name }) => name));
  return files.filter(({ name }) => present.has(name));
};
