// SPDX-License-Identifier: Apache-2.0
// What an LVS config must not hold: keepalived's ways to run programs and to read files (contract P38).
import { ConfigRejected } from './config-rejected.js';
import type { Statement } from './keepalived-lexer.js';
import { quoted } from './values.js';

const refused =
  /^(?:include|notify.*|quorum_(?:up|down)|script.*|vrrp_.*|static_.*|track_.*|BFD_.*|bfd_.*|FILE_CHECK|DNS_CHECK|SMTP_CHECK|smtp_.*|global_defs|linkbeat.*|interface_up_down.*|dbus_.*|umask|process_.*|log_file|dump_file)$/;

/** Throws ConfigRejected at the first directive of that kind, however deep. */
export const refuseLvsDanger = (statements: readonly Statement[]): void => {
  for (const { kind, words, line, block } of statements) {
    if (kind === 'comment') continue;
    if (refused.test(words[0])) throw new ConfigRejected(`directive ${quoted(words[0])}`, line);
    if (
      words[0] !== 'misc_path' &&
      words[0] !== 'path' &&
      words.some((word) => word.startsWith('/'))
    ) {
      throw new ConfigRejected(`a path where none belongs: ${quoted(words.join(' '))}`, line);
    }
    if (block !== null) refuseLvsDanger(block);
  }
};
