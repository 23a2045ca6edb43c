// SPDX-License-Identifier: Apache-2.0
// Our own options, in [amphora_xdp]: the controller never writes them, so that each has a default that works.
import type { HookChoice } from './core/model/dataplane.js';
import type { OptionReader } from './option-reader.js';

export type SnatSource = 'vip' | 'interface';

/** Table sizes are null where the machine's memory is to decide. */
export interface XdpOptions {
  readonly pinDirectory: string;
  readonly bpfDirectory: string | null;
  readonly stateDirectory: string;
  readonly runDirectory: string;
  readonly hook: HookChoice;
  readonly hooks: ReadonlyMap<string, HookChoice>;
  readonly tableFlows: number | null;
  readonly tableListeners: number | null;
  readonly tableMembers: number | null;
  readonly snatSource: SnatSource;
  readonly networkNamespace: string;
  readonly services: 'auto' | 'systemd' | 'supervisor';
  readonly unitDirectory: string;
  readonly controlSocket: string;
  readonly healthPollMs: number;
  readonly pluggedInterfacesFile: string;
  readonly userGroupFile: string;
  readonly pingWrapper: string;
  /** Lines for UDP and SCTP flows too, which the stock amphora does not write. */
  readonly logDatagramFlows: boolean;
}

const HOOKS = ['auto', 'xdp', 'tc'] as const;

/** Throws where a value makes no sense, and names its option. */
export const readXdpOptions = (read: OptionReader, basePath: string): XdpOptions => {
  const section = 'amphora_xdp';
  return {
    pinDirectory: read.text(section, 'pin_directory', '/sys/fs/bpf/amphora-xdp'),
    bpfDirectory: read.optional(section, 'bpf_directory'),
    stateDirectory: read.text(section, 'state_directory', `${basePath}/amphora-xdp`),
    runDirectory: read.text(section, 'run_directory', '/run/amphora-xdp'),
    hook: read.choice(section, 'hook', HOOKS),
    hooks: new Map(
      read
        .names(section)
        .filter((name) => name.startsWith('hook_'))
        .map((name) => [name.slice('hook_'.length), read.choice(section, name, HOOKS)]),
    ),
    tableFlows: read.size(section, 'table_flows'),
    tableListeners: read.size(section, 'table_listeners'),
    tableMembers: read.size(section, 'table_members'),
    snatSource: read.choice(section, 'snat_source', ['vip', 'interface']),
    networkNamespace: read.text(section, 'network_namespace', 'amphora-haproxy'),
    services: read.choice(section, 'services', ['auto', 'systemd', 'supervisor']),
    unitDirectory: read.text(section, 'unit_directory', '/usr/lib/systemd/system'),
    controlSocket: read.text(section, 'control_socket', '/run/amphora-xdp/control.sock'),
    healthPollMs: read.number(section, 'health_poll_ms', 200, [20, 60000]),
    pluggedInterfacesFile: read.text(
      section,
      'plugged_interfaces_file',
      '/var/lib/octavia/plugged_interfaces',
    ),
    userGroupFile: read.text(
      section,
      'user_group_file',
      '/var/lib/octavia/haproxy-default-user-group.conf',
    ),
    pingWrapper: read.text(section, 'ping_wrapper', '/var/lib/octavia/ping-wrapper.sh'),
    logDatagramFlows: read.flag(section, 'log_datagram_flows', true),
  };
};
