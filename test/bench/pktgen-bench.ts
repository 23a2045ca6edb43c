// SPDX-License-Identifier: Apache-2.0
// pktgen-bench.js JSON-FILE: every subject in the same guest, in turns, as ratios to plain forwarding. CPU is the
// emulator's, which grows with the instructions that the guest executes; it does not say what hardware would make
// of caches, branches and DMA. Subjects take turns, so that a busy minute of the host is nobody's alone.
import { writeFileSync } from 'node:fs';
import { sleep } from '../support/run.js';
import { Cleanup } from '../support/image/cleanup.js';
import { IMAGE, restoreImage, type Booted } from '../support/image/image-bed.js';
import { listenerId, renderLvsListener } from '../support/load-balancer-config.js';
import { aim, fire } from './pktgen-generator.js';
import {
  arrived,
  layAmphora,
  layEnds,
  layIpvs,
  layNothing,
  layRouter,
  PORT,
  type Middle,
} from './pktgen-guest.js';
import {
  FORWARDING,
  GENERATOR,
  jsonLines,
  merge,
  table,
  type Sample,
  type Series,
} from './pktgen-report.js';

const FLOWS = [1, 1024] as const;

/** A count from the environment. */
const number = (name: string, standard: number): number => {
  const value = Number(process.env[name] ?? standard);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} must be a whole number`);
  return value;
};

const [jsonFile = 'build/bench-pktgen.jsonl'] = process.argv.slice(2);
const PACKETS = number('PACKETS', 100_000);
const ROUNDS = number('ROUNDS', 5);
const IDLE_SECONDS = 10;

interface Subject {
  readonly name: string;
  readonly middle: Middle;
}

/** Seconds of emulator CPU that a batch takes beside its packets. */
interface Overhead {
  /** In each second, whatever the guest does. */
  readonly idle: number;
  /** Once: processes that start the generator. */
  readonly start: number;
}

const sample = async (
  { vm }: Booted,
  { name, middle }: Subject,
  packets: number,
  { idle, start }: Overhead,
): Promise<Sample> => {
  const before = await arrived(vm.shell, middle);
  const [cpu, clock] = [vm.cpuSeconds(), performance.now()];
  const { microseconds, sent } = await fire(vm.shell, middle, packets);
  const elapsed = (performance.now() - clock) / 1000;
  const spent = vm.cpuSeconds() - cpu - idle * elapsed - start;
  const count = (await arrived(vm.shell, middle)) - before;
  if (count < sent / 2) throw new Error(`${name}: ${count} of ${sent} arrived`);
  return {
    cpuNs: (spent * 1e9) / count,
    packetsPerSecond: (count * 1e6) / microseconds,
    share: count / sent,
  };
};

const overheadOf = async (booted: Booted, subject: Subject): Promise<Overhead> => {
  const { vm } = booted;
  const cpu = vm.cpuSeconds();
  await sleep(IDLE_SECONDS * 1000);
  const idle = (vm.cpuSeconds() - cpu) / IDLE_SECONDS;
  await aim(vm.shell, subject.middle, 1);
  const starts: number[] = [];
  for (let i = 0; i < 6; i += 1) {
    const { cpuNs } = await sample(booted, subject, 1, { idle, start: 0 });
    starts.push(cpuNs / 1e9);
  }
  return { idle, start: Math.min(...starts) };
};

/** `ROUNDS` samples of each subject, in turns. */
const measure = async (booted: Booted, subjects: readonly Subject[]): Promise<Series[]> => {
  const [alone] = subjects;
  if (alone === undefined) return [];
  const overhead = await overheadOf(booted, alone);
  const { idle, start } = overhead;
  console.log(
    `  CPU beside packets: ${(idle * 100).toFixed(0)} % idle, ${start.toFixed(2)} s a batch`,
  );
  const all: (Series & { samples: Sample[] })[] = [];
  for (const flows of FLOWS) {
    for (const { middle } of subjects) {
      await aim(booted.vm.shell, middle, flows);
      // Opens every flow, has the emulator translate the path, and finds what is not at work.
      await fire(booted.vm.shell, middle, Math.max(5000, flows * 20));
    }
    const series = subjects.map((subject) => ({
      ...{ subject: subject.name, flows, samples: [] as Sample[] },
    }));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [i, subject] of subjects.entries()) {
        await aim(booted.vm.shell, subject.middle, flows);
        series[i]?.samples.push(await sample(booted, subject, PACKETS, overhead));
      }
      console.log(`  round ${round + 1} of ${ROUNDS}, ${flows} flow${flows === 1 ? '' : 's'}`);
    }
    all.push(...series);
  }
  return all;
};

/** A plugged amphora whose listener has one member: the sink. */
const setUpAmphora = async (booted: Booted): Promise<Middle> => {
  const middle = await layAmphora(booted.vm.shell);
  await booted.controller.plugVip();
  await booted.controller.plugNetwork('member');
  const spec = { fixture: 'a36-udp', port: PORT, members: [{ member: 'm1' }] } as const;
  await booted.controller.pushLvsListener(listenerId(PORT), renderLvsListener(spec));
  return middle;
};

const chooseHook = async ({ vm, controller }: Booted, hook: 'xdp' | 'tc'): Promise<void> => {
  const file = '/etc/octavia/amphora-agent.conf';
  const lines = String.raw`\n[amphora_xdp]\nhook = ${hook}\n`;
  await vm.shell.run(`sed -i '/^\\[amphora_xdp\\]/,$d' ${file} && printf '${lines}' >> ${file}`);
  await vm.shell.run('systemctl restart amphora-agent');
  await controller.waitForAgent(600_000);
  const inside = 'nsenter --net=/run/netns/amphora-haproxy';
  const link = await vm.shell.run(`${inside} ip -d link show dev eth1`);
  if (/prog\/xdp/.test(link) !== (hook === 'xdp')) throw new Error(`hook = ${hook}, but: ${link}`);
  // The datapath goes on without it, and the emulator has no other work to be counted.
  await vm.shell.run('systemctl stop amphora-agent');
};

const cleanup = new Cleanup();
try {
  const booted = await restoreImage(cleanup);
  const { shell } = booted.vm;
  await shell.run('modprobe pktgen');
  await layEnds(shell);
  const kernel = (await shell.run('uname -r')).trim();
  console.log(`${IMAGE}: Linux ${kernel}, emulated; ${PACKETS} packets a batch`);
  const amphora = await setUpAmphora(booted);
  const common = [
    { name: GENERATOR, middle: await layNothing(shell) },
    { name: FORWARDING, middle: await layRouter(shell) },
    { name: 'IPVS + masquerade', middle: await layIpvs(shell) },
  ];
  await chooseHook(booted, 'xdp');
  console.log('hook = xdp');
  const rows = await measure(booted, [...common, { name: 'ours by XDP', middle: amphora }]);
  await chooseHook(booted, 'tc');
  console.log('hook = tc');
  const again = await measure(booted, [...common, { name: 'ours by tc', middle: amphora }]);
  const figures = merge([...rows, ...again]);
  console.log('\npktgen over veth in the guest, 64-byte UDP frames. EMULATED: read the ratios.');
  console.log(table(figures).join('\n'));
  const lines = jsonLines(figures, { kernel, packets: PACKETS });
  writeFileSync(jsonFile, `${lines.join('\n')}\n`);
  console.log(`\nJSON lines: ${jsonFile}`);
} finally {
  await cleanup.run();
}
