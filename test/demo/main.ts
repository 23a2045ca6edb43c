// SPDX-License-Identifier: Apache-2.0
// The demo from beginning to end, and its undoing whatever happens in between.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Answer } from '../support/controller.js';
import { run } from '../support/run.js';
import { identify, removeRemains, writeDown } from './remains.js';
import { algorithms, comparison, counters, engines, lookAround, weightChange } from './scenes.js';
import { headline, say } from './story.js';
import { play, setStage, type Stage } from './stage.js';

const keep = ['1', 'yes', 'true'].includes(process.env['KEEP'] ?? '');
const parts: Partial<Stage> = {};
const bpfStats = readFileSync('/proc/sys/kernel/bpf_stats_enabled', 'utf8').trim();

const note = (): void => {
  const pids = [parts.vm?.processId, ...(parts.members ?? []).map(({ pid }) => pid)];
  const processes = pids.filter((pid) => pid !== undefined).map(identify);
  writeDown({ directory: parts.world?.directory ?? '', processes, bpfStats });
};

const undo = async (): Promise<void> => {
  note();
  await parts.controller?.close();
  await parts.vm?.destroy();
  await removeRemains();
};

const leave = async (status: number, words: string): Promise<never> => {
  say(words);
  await undo();
  process.exit(status);
};

const onAnswer = (method: string, path: string, answer: Answer): void => {
  if (path !== '//')
    say(
      `${method.padEnd(4)} ${path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, shorten)} -> ${answer.status}`,
    );
};

const shorten = (id: string): string => `${id.slice(0, 8)}...`;

const show = async (): Promise<void> => {
  headline('amphora-xdp: a load balancer as OpenStack Octavia runs it, on one machine');
  say(
    [
      'client --- router === VIP network === amphora === member network === m1, m2, m3',
      '                          10.0.0.10               10.1.0.10 - 10.1.0.12',
      '',
      'Each is a network namespace with a TCP/IP stack of its own. The amphora is a VM in all but kernel; in it',
      'runs the agent. Below, this program plays the Octavia controller and calls it over mutual TLS.',
    ].join('\n'),
  );
  headline('The controller boots the amphora, plugs its ports and uploads a config');
  const stage = await setStage(parts, keep, onAnswer);
  note();
  await run('sysctl', ['-qw', 'kernel.bpf_stats_enabled=1']);
  await play(stage.controller);
  await algorithms(stage);
  await weightChange(stage);
  await engines(stage);
  await comparison(stage);
  await counters(stage);
  if (!keep) return;
  await stage.controller.close();
  stage.vm.release();
  for (const member of stage.members) member.unref();
  writeFileSync(`${stage.world.directory}/keep`, ''); // tests clean up after dead processes
  lookAround(stage);
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => void leave(130, `\n${signal}: cleaning up`));
}
if (await removeRemains()) say('removed what an earlier demo had left');
if (process.argv[2] !== 'clean') {
  try {
    await show();
  } catch (error) {
    console.error(error);
    if (parts.vm) console.error(parts.vm.log().split('\n').slice(-20).join('\n'));
    await leave(1, 'the demo failed; cleaning up');
  }
  if (!keep) await leave(0, '\ncleaned up: no namespace, process or BPF program is left');
}
process.exit(0);
