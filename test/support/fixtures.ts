// SPDX-License-Identifier: Apache-2.0
// Recorded and rendered files of real controllers, by their path under test/fixtures.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { inCheckout } from './paths.js';

const FIXTURES = inCheckout('test/fixtures');

/** A file that a controller puts into an amphora, or the PKI behind it. */
export const amphoraFixture = (path: string): string =>
  readFileSync(join(FIXTURES, 'controller-vm', path), 'utf8');

/** The HAProxy config that a controller rendered for a case, for example `a01-tcp`. */
export const haproxyFixture = (name: string, version = '11.0.0'): string =>
  configFixture(name, (file) => file.startsWith('haproxy-') && file.endsWith(`-${version}.cfg`));

/** The keepalived LVS config that a controller rendered for a case. */
export const lvsFixture = (name: string, version = '11.0.0'): string =>
  configFixture(name, (file) => file.startsWith('lvs-') && file.endsWith(`-${version}.conf`));

const configFixture = (name: string, matches: (file: string) => boolean): string => {
  const directory = join(FIXTURES, 'controller-configs', name);
  const file = readdirSync(directory).find(matches);
  if (file === undefined) throw new Error(`no such config in ${directory}`);
  return readFileSync(join(directory, file), 'utf8');
};
