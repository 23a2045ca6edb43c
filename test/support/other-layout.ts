// SPDX-License-Identifier: Apache-2.0
// This tree's agent with another layout of its maps: what an upgrade brings.
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layoutText, readLayoutBtf, renderLayout } from '../../bpf/gen-layout.js';
import { inCheckout } from './paths.js';
import { run } from './run.js';

/** Text of bpf/layout.h or its parts that becomes another. */
export type LayoutChange = readonly [from: string, to: string];

/** Builds it below `directory` and returns its agent's program. Throws unless each change applies once. */
export const buildOtherLayout = async (
  directory: string,
  changes: readonly LayoutChange[],
): Promise<string> => {
  for (const name of ['agent', 'bpf', '.ci', 'Makefile', 'package.json'])
    cpSync(inCheckout(name), join(directory, name), { recursive: true });
  mkdirSync(join(directory, 'native'));
  cpSync(inCheckout('native/index.ts'), join(directory, 'native/index.ts'));
  mkdirSync(join(directory, 'build'));
  for (const name of ['node_modules', 'native/build', 'build/commands'])
    symlinkSync(inCheckout(name), join(directory, name));
  // Packages and modules are there: the checkout has been built.
  writeFileSync(join(directory, 'build/.packages'), '');
  const header = join(directory, 'bpf/layout.h');
  // the parts come to stand in the header itself
  writeFileSync(header, changes.reduce(replaceOnce, layoutText(header)));
  const btf = readLayoutBtf(header, join(directory, 'build/layout'));
  const generated = await renderLayout(btf, layoutText(header));
  writeFileSync(join(directory, 'agent/core/plan/layout.gen.ts'), generated);
  const objects = ['xdp', 'tc', 'sys'].map((name) => `build/bpf/lb_${name}.bpf.o`);
  await run('make', ['-s', '-C', directory, ...objects], { timeoutMs: 300_000 });
  const program = join(directory, 'dist/agent/bin/amphora-agent.mjs');
  await run(inCheckout('node_modules/.bin/esbuild'), [
    join(directory, 'agent/bin/amphora-agent.ts'),
    ...['--bundle', '--platform=node', '--target=node20', '--format=esm', '--log-level=warning'],
    `--outfile=${program}`,
    "--banner:js=import{createRequire as nodeRequire}from'node:module';const require=nodeRequire(import.meta.url);",
  ]);
  return program;
};

const replaceOnce = (text: string, [from, to]: LayoutChange): string => {
  if (text.split(from).length !== 2) throw new Error(`layout.h has not exactly one "${from}"`);
  return text.replace(from, to);
};
