// SPDX-License-Identifier: Apache-2.0
// Where the checkout lies, whether this file runs from test/ or, compiled, from build/test/.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const rootFrom = (directory: string): string => {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  if (parent === directory) throw new Error('no package.json above this file');
  return rootFrom(parent);
};

const root = rootFrom(import.meta.dirname);

/** An absolute path of something in the checkout. */
export const inCheckout = (path: string): string => join(root, path);
