// SPDX-License-Identifier: Apache-2.0
// A namespace at the far end of one of the world's veth pairs, gone with the process that holds it.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import type { Port } from '../bpf/support/world.js';

export interface FarEndSpec {
  readonly port: Port;
  readonly mac: string;
  readonly address: string;
  /** Where everything else is. */
  readonly gateway: string;
  /** The amphora's MAC. */
  readonly gatewayMac: string;
}

export class FarEnd {
  readonly netns: string;
  readonly device: string;
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess, device: string) {
    this.#holder = holder;
    this.netns = `/proc/${holder.pid ?? 0}/ns/net`;
    this.device = device;
  }

  /** Moves the peer of `port` into a fresh namespace and gives it its address. */
  static async open({ port, mac, address, gateway, gatewayMac }: FarEndSpec): Promise<FarEnd> {
    const own = readlinkSync('/proc/self/ns/net');
    const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    const end = new FarEnd(holder, `${port}-peer`);
    for (let tries = 0; readlinkSync(end.netns) === own; tries += 1) {
      if (tries > 200) throw new Error('no namespace after two seconds');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    execFileSync('ip', ['link', 'set', end.device, 'netns', String(holder.pid)]);
    end.run('ip', ['link', 'set', 'lo', 'up']);
    end.run('ip', ['link', 'set', end.device, 'address', mac, 'up']);
    end.run('ip', ['addr', 'add', `${address}/24`, 'dev', end.device]);
    const neighbour = ['lladdr', gatewayMac, 'dev', end.device, 'nud', 'permanent'];
    end.run('ip', ['neigh', 'replace', gateway, ...neighbour]);
    end.run('ip', ['route', 'add', 'default', 'via', gateway, 'dev', end.device, 'onlink']);
    return end;
  }

  /** Runs a command inside, returns what it printed. */
  run(command: string, args: readonly string[]): string {
    const inside = [`--net=${this.netns}`, '--', command, ...args];
    return execFileSync('nsenter', inside, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  /** Starts a command inside that runs until killed. */
  start(command: string, args: readonly string[]): ChildProcess {
    return spawn('nsenter', [`--net=${this.netns}`, '--', command, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }

  close(): void {
    this.#holder.kill('SIGKILL');
  }
}
