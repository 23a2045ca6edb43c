// SPDX-License-Identifier: Apache-2.0
// amphora-agent.conf -> frozen AgentConfig. Names and defaults are Octavia's (contract 6.1); our own options
// stand in [amphora_xdp], which the controller never writes, so that each has a default that works.
import { readFile } from 'node:fs/promises';
import { type IniFile, parseOsloIni } from './core/oslo-ini.js';
import type { HookChoice } from './core/model/dataplane.js';

export type Topology = 'SINGLE' | 'ACTIVE_STANDBY';
export type SnatSource = 'vip' | 'interface';

/** Our own options. Table sizes are null where the machine's memory is to decide. */
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
}

export interface AgentConfig {
  readonly file: string;
  readonly debug: boolean;
  readonly basePath: string;
  readonly baseCertDir: string;
  readonly bindHost: string;
  readonly bindPort: number;
  readonly haproxyCmd: string;
  readonly userLogFacility: number;
  readonly administrativeLogFacility: number;
  readonly controllers: readonly string[];
  readonly heartbeatIntervalSeconds: number;
  readonly heartbeatKey: string | null;
  readonly serverCa: string;
  readonly serverCert: string;
  readonly networkDirectory: string;
  readonly requestReadTimeoutSeconds: number;
  readonly amphoraId: string;
  readonly topology: Topology;
  readonly xdp: XdpOptions;
}

/** Reads and checks the whole file. Throws when it cannot be read or a known option makes no sense. */
export const readAgentConfig = async (file: string): Promise<AgentConfig> =>
  parseAgentConfig(file, await readFile(file, 'utf8'));

/** Unknown options are ignored; a known one with an impossible value throws and names itself. */
export const parseAgentConfig = (file: string, text: string): AgentConfig => {
  const read = reader(parseOsloIni(text));
  const basePath = read.text('haproxy_amphora', 'base_path', '/var/lib/octavia');
  return Object.freeze({
    file,
    debug: read.flag('DEFAULT', 'debug', false),
    basePath,
    baseCertDir: read.text('haproxy_amphora', 'base_cert_dir', '/var/lib/octavia/certs'),
    bindHost: read.text('haproxy_amphora', 'bind_host', '::'),
    bindPort: read.number('haproxy_amphora', 'bind_port', 9443, [0, 65535]),
    haproxyCmd: read.text('haproxy_amphora', 'haproxy_cmd', '/usr/sbin/haproxy'),
    userLogFacility: read.number('amphora_agent', 'user_log_facility', 0, [0, 7]),
    administrativeLogFacility: read.number(
      'amphora_agent',
      'administrative_log_facility',
      1,
      [0, 7],
    ),
    controllers: read.list('health_manager', 'controller_ip_port_list'),
    heartbeatIntervalSeconds: read.number('health_manager', 'heartbeat_interval', 10, [1, 86400]),
    heartbeatKey: read.optional('health_manager', 'heartbeat_key'),
    serverCa: read.text('amphora_agent', 'agent_server_ca', '/etc/octavia/certs/client_ca.pem'),
    serverCert: read.text('amphora_agent', 'agent_server_cert', '/etc/octavia/certs/server.pem'),
    networkDirectory: read.text(
      'amphora_agent',
      'agent_server_network_dir',
      '/etc/octavia/interfaces',
    ),
    requestReadTimeoutSeconds: read.number(
      'amphora_agent',
      'agent_request_read_timeout',
      180,
      [1, 86400],
    ),
    amphoraId: read.text('amphora_agent', 'amphora_id', ''),
    topology: read.choice('controller_worker', 'loadbalancer_topology', [
      'SINGLE',
      'ACTIVE_STANDBY',
    ]),
    xdp: Object.freeze(xdpOptions(read, basePath)),
  });
};

const HOOKS = ['auto', 'xdp', 'tc'] as const;

const xdpOptions = (read: Reader, basePath: string): XdpOptions => {
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
  };
};

type Reader = ReturnType<typeof reader>;

const reader = (ini: IniFile) => {
  const raw = (section: string, name: string): string | undefined => {
    const value = ini.get(section)?.get(name);
    return value === undefined || value === '' ? undefined : substitute(ini, section, value);
  };
  const complain = (section: string, name: string, value: string, wanted: string): never => {
    throw new Error(`[${section}] ${name} = ${value}: ${wanted} expected`);
  };
  const whole = (
    section: string,
    name: string,
    range: readonly [number, number],
  ): number | null => {
    const value = raw(section, name);
    if (value === undefined) return null;
    const number = Number(value);
    const fits = Number.isInteger(number) && number >= range[0] && number <= range[1];
    return fits
      ? number
      : complain(section, name, value, `a number from ${range[0]} to ${range[1]}`);
  };
  return {
    names: (section: string): string[] => [...(ini.get(section)?.keys() ?? [])],
    text: (section: string, name: string, fallback: string): string =>
      raw(section, name) ?? fallback,
    optional: (section: string, name: string): string | null => raw(section, name) ?? null,
    list: (section: string, name: string): string[] =>
      (raw(section, name) ?? '')
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    flag: (section: string, name: string, fallback: boolean): boolean => {
      const value = raw(section, name);
      if (value === undefined) return fallback;
      if (/^(true|yes|on|1)$/i.test(value)) return true;
      return /^(false|no|off|0)$/i.test(value)
        ? false
        : complain(section, name, value, 'a boolean');
    },
    number: (
      section: string,
      name: string,
      fallback: number,
      range: readonly [number, number],
    ): number => whole(section, name, range) ?? fallback,
    size: (section: string, name: string): number | null => whole(section, name, [1, 0x7fffffff]),
    /** The first choice is the default. */
    choice: <const Choice extends string>(
      section: string,
      name: string,
      choices: readonly [Choice, ...Choice[]],
    ): Choice => {
      const value = raw(section, name);
      if (value === undefined) return choices[0];
      const found = choices.find((choice) => choice === value);
      return found ?? complain(section, name, value, `one of ${choices.join(', ')}`);
    },
  };
};

/** `$name`, `${name}` and `${section.name}` as oslo puts them in; `$$` is a dollar; anything else stays. */
const substitute = (ini: IniFile, section: string, value: string): string =>
  value.replaceAll(/\$\$|\$\{(?:(\w+)\.)?(\w+)\}|\$(\w+)/g, (match, group, braced, bare) => {
    if (match === '$$') return '$';
    const name = String(braced ?? bare);
    const found = ini.get(group === undefined ? section : String(group))?.get(name);
    return found ?? ini.get('DEFAULT')?.get(name) ?? match;
  });
