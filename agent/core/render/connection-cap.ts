// SPDX-License-Identifier: Apache-2.0
// HAProxy needs files for its `maxconn`, and neither starts nor reloads where it may not open as many.

/** Both sides of a connection and a share of a pipe, as HAProxy 2.6 counts. */
const FILES_PER_CONNECTION = 2.6;
const SPARE_FILES = 1000;

/** `maxconn` of the section `global`, and what stands before it: lines of a section are indented, blank or comments. */
const globalMaxconn = /^(global\b.*\n(?:(?:[ \t#].*)?\n)*?[ \t]+maxconn[ \t]+)(\d+)\b/m;

/**
 * The config with no more connections than fit into so many open files. In the text, not on the command line: a
 * master that reloads keeps the arguments that it was started with.
 */
export const capConnections = (text: string, files: number): string => {
  const most = Math.max(1, Math.floor((files - SPARE_FILES) / FILES_PER_CONNECTION));
  return text.replace(globalMaxconn, (line, head: string, wanted: string) =>
    Number(wanted) > most ? `${head}${most}` : line,
  );
};
