// SPDX-License-Identifier: Apache-2.0
// An amphora VM in the test world. Booted once and kept as a snapshot; each test goes on from a copy of that.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Controller } from '../controller.js';
import {
  listenerId,
  LOAD_BALANCER,
  renderLoadBalancer,
  renderLvsListener,
  type ListenerSpec,
} from '../load-balancer-config.js';
import { inCheckout } from '../paths.js';
import { run } from '../run.js';
import { PORTS, type MemberName } from '../topology.js';
import { Server } from '../traffic.js';
import { createWorld, type World } from '../world.js';
import { Cleanup } from './cleanup.js';
import { makePeerTaps, makeTaps } from './compute-node.js';
import { makeConfigDrive, type ConfigDriveOptions } from './config-drive.js';
import { SHELL_COMMANDS } from './guest-shell.js';
import { ImageVm } from './image-vm.js';

/** The image under test; AMPHORA_IMAGE names another. */
export const IMAGE = process.env['AMPHORA_IMAGE'] ?? inCheckout('build/amphora-x64-haproxy.qcow2');
/** Set: the agent of this tree on an image that has an older one, which spares building and booting. */
const UPGRADE = process.env['AMPHORA_UPGRADE'] !== undefined;
const DIRECTORY = inCheckout('build/image-test');
const TOOLS_DRIVE = join(DIRECTORY, 'tools.iso');

/** An emulated machine on a busy one. */
export const BOOT_MS = 1_200_000;

/** Who a machine goes with: a test, or a program that does as one does. */
export interface Owner {
  teardown(action: () => unknown): void;
  passing(): boolean;
  comment(text: string): void;
}

export interface Booted {
  readonly world: World;
  readonly vm: ImageVm;
  readonly controller: Controller;
}

export interface ImageBed extends Booted {
  readonly servers: Map<MemberName, Server>;
  startServer(member: MemberName): Promise<Server>;
  push(...specs: readonly ListenerSpec[]): Promise<void>;
  pushLvs(spec: ListenerSpec): Promise<void>;
}

/** A kind of machine; each has a snapshot of its own. */
export interface Variant {
  readonly name: string;
  /** Makes its image from the one under test: from a path into another. */
  readonly prepare?: (image: string, into: string) => Promise<void>;
  readonly drive?: ConfigDriveOptions;
}

const STANDARD: Variant = { name: 'ready' };
const ready = ({ name }: Variant): string => join(DIRECTORY, `${name}.qcow2`);
const configDrive = ({ name }: Variant): string => join(DIRECTORY, `${name}.iso`);

export interface BootOptions extends ConfigDriveOptions {
  /** Another than `IMAGE`. */
  readonly image?: string;
  readonly megabytes?: number;
  readonly processors?: number;
}

/** Boots the image from its first moment on a disk of its own. The agent does not answer yet. */
export const bootImage = async (t: Owner, options: BootOptions = {}): Promise<Booted> => {
  mkdirSync(DIRECTORY, { recursive: true });
  const { image = IMAGE, megabytes = 1024, processors = 2 } = options;
  const place = await makePlace(t, image);
  const disk = join(place.world.directory, 'disk.qcow2');
  const drive = join(place.world.directory, 'config.iso');
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, disk]);
  await makeDrive(drive, options);
  if (!existsSync(TOOLS_DRIVE)) await makeToolsDrive();
  return start(t, place, { disk, drives: [drive, TOOLS_DRIVE], megabytes, processors });
};

/** A machine whose agent answers and whose shell listens, as it was right after its first boot. */
export const restoreImage = async (t: Owner, variant = STANDARD): Promise<Booted> => {
  if (!isReady(variant)) await makeReady(variant);
  if (UPGRADE) await makeToolsDrive();
  const place = await makePlace(t);
  const disk = join(place.world.directory, 'disk.qcow2');
  copyFileSync(ready(variant), disk);
  const booted = await start(t, place, {
    disk,
    drives: [configDrive(variant), TOOLS_DRIVE],
    snapshot: 'ready',
  });
  await booted.controller.waitForAgent(BOOT_MS);
  await booted.vm.shell.wait(BOOT_MS);
  if (UPGRADE) await upgradeAgent(booted);
  return booted;
};

/** Puts the agent of this tree in place of the running one, as an operator might: files first, then a restart. */
export const upgradeAgent = async ({ vm, controller }: Booted): Promise<void> => {
  const library = '/usr/local/lib/amphora-xdp';
  await vm.shell.run(
    [
      'mount LABEL=tools /mnt',
      `mkdir ${library}.new && tar -C ${library}.new --strip-components=1 -xzf /mnt/agent.tar.gz`,
      `rm -rf ${library}.old && mv ${library} ${library}.old && mv ${library}.new ${library}`,
      // The drive cannot carry it.
      `setcap cap_net_raw+ep ${library}/build/commands/amphora-health-checker`,
      'umount /mnt',
    ].join(' && '),
  );
  await vm.shell.run('systemctl restart amphora-agent');
  await controller.waitForAgent(BOOT_MS);
};

/**
 * A second guest from the same snapshot, with a NIC on the VIP and one on the member network: `vip0` and `member0`
 * there. It has what the host may lack: a kernel with SCTP. The tools are in /mnt/tools.
 */
export const restorePeer = async (t: Owner, { world }: Booted): Promise<ImageVm> => {
  await makePeerTaps(world);
  const directory = join(world.directory, 'peer');
  mkdirSync(directory);
  const disk = join(directory, 'disk.qcow2');
  copyFileSync(ready(STANDARD), disk);
  const drives = [configDrive(STANDARD), TOOLS_DRIVE];
  const machine = { directory, disk, drives, taps: 'p', snapshot: 'ready' };
  const vm = await ImageVm.start({ compute: world.amphora, ...machine });
  t.teardown(() => vm.stop());
  await vm.shell.wait(BOOT_MS);
  await vm.shell.run('systemctl stop amphora-agent; mount LABEL=tools /mnt');
  for (const [name, mac] of [
    ['vip', '02:00:00:00:ee:01'],
    ['member', '02:00:00:00:ee:02'],
  ] as const) {
    await vm.plug(name, mac);
    const rename = `d=$(grep -l ${mac} /sys/class/net/*/address | cut -d/ -f5) && ip link set $d name ${name}0`;
    await vm.shell.run(`for i in 1 2 3 4 5 6 7 8 9; do ${rename} && exit; sleep 1; done; exit 1`);
  }
  return vm;
};

export interface BedOptions {
  readonly hook: 'auto' | 'tc';
  /** Ports that every member serves, TCP and UDP. */
  readonly ports: readonly number[];
  readonly variant?: Variant;
  /** In place of `plugPorts`. */
  readonly plug?: (booted: Booted) => Promise<void>;
}

/** A restored machine with its VIP and member ports hot-plugged, and members that serve. */
export const makeImageBed = async (
  t: Owner,
  { hook, ports, variant, plug = plugPorts }: BedOptions,
): Promise<ImageBed> => {
  const booted = await restoreImage(t, variant);
  const { world, vm, controller } = booted;
  if (hook === 'tc') {
    const lines = String.raw`\n\n[amphora_xdp]\nhook = tc\n`;
    await vm.shell.run(`printf '${lines}' >> /etc/octavia/amphora-agent.conf`);
    await vm.shell.run('systemctl restart amphora-agent');
    await controller.waitForAgent(BOOT_MS);
  }
  const servers = new Map<MemberName, Server>();
  const startServer = async (member: MemberName): Promise<Server> => {
    const server = await Server.start(world.members[member], member, ports);
    servers.set(member, server);
    return server;
  };
  t.teardown(() => Promise.all([...servers.values()].map((server) => server.stop())));
  await Promise.all((['m1', 'm2', 'm3'] as const).map(startServer));
  await plug(booted);
  return {
    ...{ ...booted, servers, startServer },
    push: (...specs) => controller.pushLoadBalancer(LOAD_BALANCER, renderLoadBalancer(specs)),
    pushLvs: (spec) => controller.pushLvsListener(listenerId(spec.port), renderLvsListener(spec)),
  };
};

/** NICs by QMP, then the controller's calls, as Octavia has it done. */
export const plugPorts = async ({ vm, controller }: Booted): Promise<void> => {
  await vm.plug('vip', PORTS.vip.mac);
  await controller.plugVip();
  await vm.plug('member', PORTS.member.mac);
  await controller.plugNetwork('member');
};

/** Boots once and keeps the machine for `restoreImage`. */
const makeReady = async (variant: Variant): Promise<void> => {
  mkdirSync(DIRECTORY, { recursive: true });
  await makeDrive(configDrive(variant), variant.drive ?? {});
  await makeToolsDrive();
  const cleanup = new Cleanup();
  try {
    const place = await makePlace(cleanup);
    const fresh = join(DIRECTORY, `booting-${variant.name}.qcow2`);
    const image = variant.prepare === undefined ? IMAGE : join(DIRECTORY, `${variant.name}-image`);
    await variant.prepare?.(IMAGE, image);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, fresh]);
    const drives = [configDrive(variant), TOOLS_DRIVE];
    const { vm, controller } = await start(cleanup, place, { disk: fresh, drives });
    await controller.waitForAgent(BOOT_MS);
    await vm.shell.wait(BOOT_MS);
    await vm.shell.run('cloud-init status --wait', BOOT_MS);
    await vm.save('ready');
    await vm.stop();
    await run('mv', [fresh, ready(variant)]);
  } finally {
    await cleanup.run();
  }
};

const isReady = (variant: Variant): boolean =>
  existsSync(ready(variant)) &&
  statSync(ready(variant)).mtimeMs > statSync(IMAGE).mtimeMs &&
  existsSync(configDrive(variant));

interface Place {
  readonly world: World;
  readonly controller: Controller;
}

const makePlace = async (t: Owner, image = IMAGE): Promise<Place> => {
  if (!existsSync(image)) throw new Error(`no image at ${image}: make image, or set AMPHORA_IMAGE`);
  const world = await createWorld({ offloads: true });
  t.teardown(() => world.remove());
  await makeTaps(world);
  const controller = new Controller(world, undefined, BOOT_MS);
  t.teardown(() => controller.close());
  return { world, controller };
};

interface Machine {
  readonly disk: string;
  readonly drives: readonly string[];
  readonly megabytes?: number;
  readonly processors?: number;
  readonly snapshot?: string;
}

const start = async (t: Owner, place: Place, machine: Machine): Promise<Booted> => {
  const { amphora: compute, directory } = place.world;
  const vm = await ImageVm.start({ compute, directory, ...machine });
  t.teardown(async () => {
    if (!t.passing() && process.env['AMPHORA_LOG'] !== undefined) {
      const journal = vm.shell.run(
        'journalctl -b --no-pager -o cat -u "amphora-*" -u "haproxy-*" | tail -n 80',
      );
      t.comment(await journal.catch(() => vm.console().slice(-3000)));
    }
    await vm.stop();
  });
  return { ...place, vm };
};

const makeDrive = async (path: string, options: ConfigDriveOptions): Promise<void> => {
  const directory = mkdtempSync(join(DIRECTORY, 'drive-'));
  const commands = [...SHELL_COMMANDS, ...(options.commands ?? [])];
  await makeConfigDrive(path, directory, { ...options, commands });
  rmSync(directory, { recursive: true });
};

/** The traffic tools and the agent as this tree builds it, for use inside: `mount LABEL=tools /mnt`. */
const makeToolsDrive = async (): Promise<void> => {
  const agent = join(DIRECTORY, 'agent');
  rmSync(agent, { recursive: true, force: true });
  await run('make', ['-s', '-C', inCheckout('.'), 'install', `DESTDIR=${agent}`], {
    timeoutMs: 600_000,
  });
  const archive = join(DIRECTORY, 'agent.tar.gz');
  await run('tar', ['-C', join(agent, 'usr/local/lib'), '-czf', archive, 'amphora-xdp']);
  const graft = ['-graft-points', `tools=${inCheckout('build/tools')}`, `agent.tar.gz=${archive}`];
  await run('genisoimage', ['-quiet', '-r', '-J', '-V', 'tools', '-o', TOOLS_DRIVE, ...graft]);
  // Always the same size: a machine that goes on from a snapshot knows how large its drive is.
  await run('truncate', ['--size=16M', TOOLS_DRIVE]);
};
