// SPDX-License-Identifier: Apache-2.0
// Takes an interface of the namespace down (contract 5.5). Its file stays: the next `up` brings everything back.
import { parseIpAddress } from '../core/model/address.js';
import type { InterfaceFile } from '../core/network/interface-file.js';
import { ipBatch, readLinks } from './ip.js';

/** Not up is fine. Throws when there is no such link or the kernel refuses. */
export const bringDown = async (netns: string, file: InterfaceFile): Promise<void> => {
  const link = (await readLinks(netns)).find(({ name }) => name === file.name);
  if (!link) throw new Error(`no interface ${file.name} in the namespace`);
  // Rules belong to no link: the kernel would leave them. What is not there is no failure.
  await ipBatch(netns, file.rules.map(deleteRule));
  const failed = await ipBatch(netns, [
    ...ownAddresses(file, link.addresses),
    `link set dev ${file.name} down`, // takes the routes along
  ]);
  if (failed[0]) throw new Error(`${failed[0].line}: ${failed[0].error}`);
};

const deleteRule = ({ src, src_len: length, table }: InterfaceFile['rules'][number]): string =>
  `${src.includes(':') ? '-6' : '-4'} rule del from ${src}/${length} table ${table}`;

/** Those of the file that are ours, as far as the link has them. */
const ownAddresses = (
  file: InterfaceFile,
  present: readonly { readonly local: string; readonly prefixlen: number }[],
): string[] =>
  file.addresses.flatMap(({ address = '', prefixlen = 0, octavia_owned: owned }) => {
    const local = parseIpAddress(address);
    const has = present.some((one) => one.local === local && one.prefixlen === prefixlen);
    return local !== null && owned !== false && has
      ? [`addr del ${local}/${prefixlen} dev ${file.name}`]
      : [];
  });
