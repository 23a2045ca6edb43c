// SPDX-License-Identifier: Apache-2.0
// amphora-agent.conf -> frozen AgentConfig. Names and defaults are Octavia's (contract 6.1).
import { readFile } from 'node:fs/promises';
import { parseOsloIni } from './core/oslo-ini.js';
import { optionReader } from './option-reader.js';
import { type XdpOptions, readXdpOptions } from './xdp-options.js';

export type Topology = 'SINGLE' | 'ACTIVE_STANDBY';

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
  const read = optionReader(parseOsloIni(text));
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
    xdp: Object.freeze(readXdpOptions(read, basePath)),
  });
};

/**
 * What is in force once `next` has replaced the file: options that the contract calls mutable are its own (6.2),
 * all others stay until the agent starts again. Paths above all: what is read and written must not move meanwhile.
 */
export const withMutable = (current: AgentConfig, next: AgentConfig): AgentConfig => {
  const { debug, controllers, heartbeatIntervalSeconds, heartbeatKey, topology } = next;
  return Object.freeze({
    ...current,
    ...{ debug, controllers, heartbeatIntervalSeconds, heartbeatKey, topology },
  });
};
