// SPDX-License-Identifier: Apache-2.0
// The amphora image under QEMU's emulation, its NICs in the test world: what a compute node does with it.
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace } from '../netns.js';
import { ended, until } from '../run.js';
import { MANAGEMENT_MAC } from './config-drive.js';
import { GuestShell } from './guest-shell.js';
import { Qmp } from './qmp.js';

export interface ImageVmOptions {
  /** Where taps are; its `eth0` leads to the management network. */
  readonly compute: Namespace;
  /** For sockets and logs. */
  readonly directory: string;
  /** A qcow2 overlay that this machine may write. */
  readonly disk: string;
  /** ISO images, in the order of their drives. */
  readonly drives: readonly string[];
  readonly megabytes?: number;
  readonly processors?: number;
  /** First part of its taps' names; `t` when absent. */
  readonly taps?: string;
  /** Name of a snapshot in `disk` to go on from; boots when absent. */
  readonly snapshot?: string;
}

export class ImageVm {
  readonly #options: ImageVmOptions;
  readonly #child: ChildProcess;
  readonly qmp: Qmp;
  readonly shell: GuestShell;

  private constructor(options: ImageVmOptions, child: ChildProcess, qmp: Qmp, shell: GuestShell) {
    this.#options = options;
    this.#child = child;
    this.qmp = qmp;
    this.shell = shell;
  }

  /** Resolves when QEMU answers; the guest boots, or goes on from its snapshot. */
  static async start(options: ImageVmOptions): Promise<ImageVm> {
    const { compute, directory } = options;
    mkdirSync(directory, { recursive: true });
    const log = openSync(join(directory, 'qemu.log'), 'a');
    const bound = ['--pdeathsig', 'KILL', 'qemu-system-x86_64'];
    const child = compute.spawn('setpriv', [...bound, ...arguments_(options)], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const qmpPath = join(directory, 'qmp.sock');
    try {
      // Its socket is there a moment before somebody listens.
      const qmp = await until('QEMU listens', async () => {
        if (child.exitCode !== null) throw new Error('QEMU ended');
        return Qmp.open(qmpPath).catch(() => undefined);
      });
      return new ImageVm(options, child, qmp, await GuestShell.open(join(directory, 'shell.sock')));
    } catch (error) {
      child.kill('SIGKILL');
      const words = readFileSync(join(directory, 'qemu.log'), 'utf8').slice(-2000);
      throw new Error(`${String(error)}: ${words}`, { cause: error });
    }
  }

  get disk(): string {
    return this.#options.disk;
  }

  /** Seconds of CPU that the emulation has taken so far. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child.pid ?? 0}/stat`, 'utf8').split(') ')[1];
    const [user = 0, system = 0] = (fields ?? '').split(' ').slice(11, 13).map(Number);
    return (user + system) / 100;
  }

  /** What the first serial port said. */
  console(): string {
    return readFileSync(join(this.#options.directory, 'serial.log'), 'utf8');
  }

  /** A true hot-plug, as Nova does it: the tap is in the compute namespace already. */
  async plug(name: string, mac: string): Promise<void> {
    const ifname = `${this.#options.taps ?? 't'}-${name}`;
    const netdev = { type: 'tap', id: name, ifname, script: 'no', downscript: 'no', vhost: false };
    await this.qmp.execute('netdev_add', netdev);
    const device = { driver: 'virtio-net-pci', id: `nic-${name}`, netdev: name, mac };
    await this.qmp.execute('device_add', device);
  }

  /** As a power cut: nothing of the guest gets to run. The kernel that boots leaves cmpxchg16b alone, see WARM_CPU. */
  async reset(): Promise<void> {
    await this.shell.run(
      "sed -i 's|^\\(\\s*linux\\s.*\\)$|\\1 clearcpuid=cx16|' /boot/grub/grub.cfg && sync -f /boot",
    );
    await this.qmp.execute('system_reset');
  }

  /** Keeps the machine as it is under a name in its disk. */
  async save(name: string): Promise<void> {
    await this.qmp.monitor(`savevm ${name}`);
  }

  async stop(): Promise<void> {
    this.qmp.close();
    this.shell.close();
    this.#child.kill('SIGKILL');
    await ended(this.#child);
  }
}

/**
 * After cmpxchg16b QEMU 7.2 leaves garbage in EFLAGS, which Linux 6.12's allocator dies of: the kernel must not see
 * the instruction when it boots. HAProxy uses it unasked and minds no flags: it has to be there afterwards.
 */
const COLD_CPU = 'max,-cx16';
const WARM_CPU = 'max';

const arguments_ = (options: ImageVmOptions): string[] => {
  const {
    directory,
    disk,
    drives,
    megabytes = 1024,
    processors = 2,
    taps = 't',
    snapshot,
  } = options;
  return [
    ...['-nodefaults', '-machine', 'pc', '-accel', 'tcg,thread=multi,tb-size=256'],
    ...['-cpu', snapshot === undefined ? COLD_CPU : WARM_CPU],
    ...['-smp', String(processors), '-m', String(megabytes)],
    ...['-vga', 'none', '-display', 'none', '-device', 'virtio-rng-pci'],
    ...['-serial', `file:${join(directory, 'serial.log')}`],
    ...['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=shell,name=shell'],
    ...['-chardev', `socket,id=shell,path=${join(directory, 'shell.sock')},server=on,wait=off`],
    ...['-qmp', `unix:${join(directory, 'qmp.sock')},server=on,wait=off`],
    ...['-drive', `file=${disk},if=virtio,format=qcow2,cache=unsafe`],
    ...drives.flatMap((drive, i) => [
      ...['-drive', `file=${drive},if=none,id=cd${i},format=raw,readonly=on`],
      ...['-device', `ide-cd,drive=cd${i},bus=ide.${i}`],
    ]),
    ...['-netdev', `tap,id=mgmt,ifname=${taps}-mgmt,script=no,downscript=no,vhost=off`],
    ...['-device', `virtio-net-pci,netdev=mgmt,mac=${MANAGEMENT_MAC}`],
    ...(snapshot === undefined ? [] : ['-loadvm', snapshot]),
  ];
};
