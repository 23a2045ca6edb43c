// SPDX-License-Identifier: Apache-2.0
// pktgen-bench.js JSON-FILE: every subject in the same guest, one after the other, as ratios to plain forwarding.
// CPU is the emulator's, which grows with the instructions that the guest executes: it does not depend on how busy
// the host is, nor does it say what hardware would make of caches, branches and DMA.
import { writeFileSync } from 'node:fs';
import { Cleanup } from '../support/image/cleanup.js';
import { IMAGE, restoreImage, type Booted } from '../support/image/image-bed.js';
import { listenerId, renderLvsListener } from '../support/load-balancer-config.js';
import {
  AMPHORA,
  arrived,
  generate,
  layAmphora,
  layNothing,
  layRouter,
  PORT,
  type Middle,
} from './pktgen-guest.js';

const [jsonFile = 'build/bench-pktgen.jsonl'] = process.argv.slice(2);
const PACKETS = Number(process.env['PACKETS'] ?? 50_000);
const BATCHES = Number(process.env['BATCHES'] ?? 5);
const FLOWS = [1, 1024] as const;

interface Row {
  readonly subject: string;
  readonly flows: number;
  /** Emulator CPU per packet that arrived, in nanoseconds; generator and sink included. */
  readonly cpuNs: number;
  readonly packetsPerSecond: number;
  /** Share of the packets that arrived. */
  readonly share: number;
}

const measure = async ({ vm }: Booted, subject: string, middle: Middle): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const flows of FLOWS) {
    // Opens the flows, and finds what is not at work before anything is measured.
    await generate(vm.shell, middle, { packets: flows * 20, flows });
    const batches: Omit<Row, 'subject' | 'flows'>[] = [];
    for (let i = 0; i < BATCHES; i += 1) {
      const before = await arrived(vm.shell, middle);
      const cpu = vm.cpuSeconds();
      const microseconds = await generate(vm.shell, middle, { packets: PACKETS, flows });
      const spent = vm.cpuSeconds() - cpu;
      const count = (await arrived(vm.shell, middle)) - before;
      if (count < PACKETS / 2) throw new Error(`${subject}: ${count} of ${PACKETS} arrived`);
      batches.push({
        cpuNs: (spent * 1e9) / count,
        packetsPerSecond: (count * 1e6) / microseconds,
        share: count / PACKETS,
      });
    }
    batches.sort((a, b) => a.cpuNs - b.cpuNs);
    const [best] = batches;
    if (best !== undefined) rows.push({ subject, flows, ...best });
    console.log(`  ${subject}, ${flows} flows: ${((best?.cpuNs ?? 0) / 1000).toFixed(1)} us`);
  }
  return rows;
};

/** A plugged amphora whose listener has one member: the sink. */
const setUpAmphora = async (booted: Booted): Promise<void> => {
  await layAmphora(booted.vm.shell);
  await booted.controller.plugVip();
  await booted.controller.plugNetwork('member');
  const spec = { fixture: 'a36-udp', port: PORT, members: [{ member: 'm1' }] } as const;
  await booted.controller.pushLvsListener(listenerId(PORT), renderLvsListener(spec));
};

const chooseHook = async ({ vm, controller }: Booted, hook: 'xdp' | 'tc'): Promise<void> => {
  const file = '/etc/octavia/amphora-agent.conf';
  const lines = String.raw`\n[amphora_xdp]\nhook = ${hook}\n`;
  await vm.shell.run(`sed -i '/^\\[amphora_xdp\\]/,$d' ${file} && printf '${lines}' >> ${file}`);
  await vm.shell.run('systemctl restart amphora-agent');
  await controller.waitForAgent(120_000);
};

const print = (rows: readonly Row[]): void => {
  const find = (subject: string, flows: number) =>
    rows.find((row) => row.subject === subject && row.flows === flows)?.cpuNs ?? Number.NaN;
  const lines = rows.map((row) => {
    const { subject, flows, cpuNs, packetsPerSecond, share } = row;
    const own = cpuNs - find('generator alone', flows);
    const ratio = own / (find('plain forwarding', flows) - find('generator alone', flows));
    const place = { bench: 'pktgen', subject, flows, emulated: true, unit: 'ns' };
    const figures = { cpu: round(cpuNs), own: round(own), ratio, pps: round(packetsPerSecond) };
    console.log(
      [
        `  ${subject.padEnd(22)}${String(flows).padStart(6)}`,
        packetsPerSecond.toFixed(0).padStart(10),
        (cpuNs / 1000).toFixed(1).padStart(10),
        (own / 1000).toFixed(1).padStart(10),
        (subject === 'generator alone' ? '' : ratio.toFixed(2)).padStart(8),
        share < 0.99 ? `  (${((1 - share) * 100).toFixed(1)} % lost)` : '',
      ].join(''),
    );
    return JSON.stringify({ ...place, ...figures, share, packets: PACKETS, batches: BATCHES });
  });
  writeFileSync(jsonFile, `${lines.join('\n')}\n`);
};

const round = (value: number): number => Math.round(value);

const cleanup = new Cleanup();
try {
  const booted = await restoreImage(cleanup);
  const { shell } = booted.vm;
  await shell.run('modprobe pktgen');
  console.log(`${IMAGE}: Linux ${(await shell.run('uname -r')).trim()}, emulated`);
  await setUpAmphora(booted);
  await chooseHook(booted, 'xdp');
  const rows = [
    ...(await measure(booted, 'generator alone', await layNothing(shell))),
    ...(await measure(booted, 'plain forwarding', await layRouter(shell, 'plain', false))),
    ...(await measure(booted, 'IPVS + masquerade', await layRouter(shell, 'ipvs', true))),
    ...(await measure(booted, 'ours by XDP', AMPHORA)),
  ];
  await chooseHook(booted, 'tc');
  rows.push(...(await measure(booted, 'ours by tc', AMPHORA)));
  console.log(
    '\npktgen over veth in the guest: 64-byte UDP, least CPU of the batches; under emulation',
  );
  console.log('                         flows       pps    us CPU  us of its   ratio to');
  console.log('                                          per packet      own  plain forw.');
  print(rows);
  console.log(`\nJSON lines: ${jsonFile}`);
} finally {
  await cleanup.run();
}
