// SPDX-License-Identifier: Apache-2.0
// An agent without kernel, namespace and HAProxy: what it would do is written down instead.
import { cpSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { Amphora } from '../../agent/amphora.js';
import { parseAgentConfig } from '../../agent/config.js';
import type { IpAddress } from '../../agent/core/model/load-balancer.js';
import type {
  Counters,
  Dataplane,
  DatapathInterface,
  WantedState,
} from '../../agent/core/model/dataplane.js';
import type { Remainder } from '../../agent/shell/haproxy.js';
import { operations } from '../../agent/shell/api/operations.js';
import { type Api, createServer } from '../../agent/shell/api/server.js';
import type { NetworkPlug, VipPlug } from '../../agent/core/network/plug-body.js';
import { AgentError } from '../../agent/errors.js';
import { Keepalived } from '../../agent/shell/keepalived.js';
import type { Service, Services } from '../../agent/shell/services.js';
import { Store } from '../../agent/shell/store.js';

export const fixture = (name: string): string =>
  join(import.meta.dirname, '../fixtures/controller-vm', name);

export const AMPHORA = '6f4ad1f4-3c5b-4d4e-9d0b-2f4b3a6a7c11';
const VIP = '10.0.0.10' as IpAddress;

/** Remembers each state that it was asked for. */
export class RecordingDataplane implements Dataplane {
  readonly applied: WantedState[] = [];
  generations = 0;
  failNext = false;

  get last(): WantedState | undefined {
    return this.applied.at(-1);
  }
  start() {
    return Promise.resolve({ adopted: false, flowCapacity: 1000 });
  }
  apply(wanted: WantedState) {
    if (this.failNext) {
      this.failNext = false;
      return Promise.reject(new Error('the kernel said no'));
    }
    this.applied.push(wanted);
    return Promise.resolve({ writes: {}, hooks: [] });
  }
  bumpGeneration(): void {
    this.generations += 1;
  }
  counters(): Counters {
    return { listeners: {}, reasons: {}, eventsLost: 0 };
  }
  flows() {
    return [];
  }
  follow() {
    return () => undefined;
  }
  close(): void {
    // nothing is open
  }
  remove() {
    return Promise.resolve();
  }
}

/** Interfaces that a test plugs by answering the plug calls itself. */
export class RecordingNetwork {
  readonly plugs: (VipPlug | NetworkPlug)[] = [];
  interfaces: DatapathInterface[] = [];
  hasSriov = false;
  /** Thrown by the next plug. */
  refuse: AgentError | null = null;

  prepare() {
    return Promise.resolve();
  }
  plugVip(plug: VipPlug) {
    return this.#plug(plug, `VIPs plugged on interface eth1: ${plug.port.vips[0]?.address ?? ''}`);
  }
  plugNetwork(plug: NetworkPlug) {
    return this.#plug(plug, 'Plugged on interface eth2');
  }
  putRules() {
    return Promise.resolve();
  }
  interfaceOf(address: IpAddress) {
    const found = this.interfaces.find((one) =>
      one.addresses.some((own) => own.address === address),
    );
    return Promise.resolve(found?.name ?? null);
  }
  read() {
    return Promise.resolve({ interfaces: this.interfaces, hasSriov: this.hasSriov });
  }
  /** The VIP on eth1. */
  plugged(): void {
    this.interfaces = [
      {
        name: 'eth1',
        ifindex: 2,
        mtu: 1500,
        addresses: [{ address: VIP, prefix: 32 }],
        driver: 'veth',
        hook: 'auto',
      },
    ];
  }

  #plug(plug: VipPlug | NetworkPlug, details: string) {
    if (this.refuse) return Promise.reject(this.refuse);
    this.plugs.push(plug);
    return Promise.resolve(details);
  }
}

/** Remembers what HAProxy would have to do, in order with the datapath's states. */
export class RecordingHaproxy {
  readonly brought: Remainder[] = [];
  /** Words of `haproxy -c` that refuse the next file. */
  refusal: string | null = null;
  failBring = false;

  /** Text of the file that `haproxy -c` would have read last. */
  checked = '';

  async check(file: string) {
    this.checked = await readFile(file, 'utf8');
    if (this.refusal === null) return;
    const body = { message: 'Invalid request', details: this.refusal };
    throw new AgentError('CONFIG_REJECTED', body);
  }
  bring(remainder: Remainder) {
    if (this.failBring) {
      const body = { message: 'Error reloading haproxy', details: 'no worker' };
      return Promise.reject(new AgentError('SERVICE_FAILED', body));
    }
    this.brought.push(remainder);
    return Promise.resolve('reloaded' as const);
  }
  adopt(remainder: Remainder) {
    return this.bring(remainder);
  }
  stop() {
    return Promise.resolve();
  }
  isRunning() {
    return Promise.resolve(false);
  }
  runs() {
    return Promise.resolve(false);
  }
}

/** Daemons that run because somebody said so. */
export class RecordingServices implements Services {
  readonly isInitSystem = true;
  readonly running = new Set<string>();
  readonly calls: string[] = [];
  /** Words of the next command, which fails. */
  refusal: string | null = null;

  isRunning({ name }: Service) {
    return Promise.resolve(this.running.has(name));
  }
  async start({ name }: Service) {
    await this.#record(`start ${name}`);
    this.running.add(name);
  }
  reload({ name }: Service) {
    return this.#record(`reload ${name}`);
  }
  enable({ name }: Service) {
    return this.#record(`enable ${name}`);
  }
  halt(service: Service) {
    return this.stop(service);
  }
  async stop({ name }: Service) {
    await this.#record(`stop ${name}`);
    this.running.delete(name);
  }
  adopt(service: Service) {
    return this.isRunning(service);
  }
  lastWords() {
    return Promise.resolve('');
  }
  fileLimit() {
    return Promise.resolve(1_000_000);
  }
  release(): void {
    // nothing is held
  }

  #record(call: string) {
    const { refusal } = this;
    this.refusal = null;
    if (refusal !== null) return Promise.reject(new Error(refusal));
    this.calls.push(call);
    return Promise.resolve();
  }
}

export interface Bed {
  readonly services: RecordingServices;
  /** Addresses that neighbours were told about, by occasion. */
  readonly announced: IpAddress[][];
  readonly app: Api;
  readonly amphora: Amphora;
  readonly dataplane: RecordingDataplane;
  readonly network: RecordingNetwork;
  readonly haproxy: RecordingHaproxy;
  readonly store: Store;
  /** Everything of this agent lies below. */
  readonly directory: string;
}

/** A started agent below `directory`; calling it again is a restart. */
export const startBed = async (directory: string): Promise<Bed> => {
  const certs = join(directory, 'pair');
  cpSync(fixture('etc/octavia/certs'), certs, { recursive: true, force: false });
  const config = parseAgentConfig(
    join(directory, 'agent.conf'),
    `[haproxy_amphora]\nbase_path = ${directory}/lib\nbase_cert_dir = ${directory}/lib/certs\n` +
      `[amphora_agent]\namphora_id = ${AMPHORA}\n`,
  );
  const store = new Store({ ...config, stateDirectory: config.xdp.stateDirectory });
  const dataplane = new RecordingDataplane();
  const network = new RecordingNetwork();
  network.plugged();
  const haproxy = new RecordingHaproxy();
  const services = new RecordingServices();
  const announced: IpAddress[][] = [];
  const log = pino({ level: 'silent' });
  const amphora = new Amphora({
    config: () => config,
    store,
    dataplane,
    network,
    haproxy,
    keepalived: new Keepalived({
      program: '/usr/sbin/keepalived',
      basePath: config.basePath,
      stoppedMark: join(directory, 'keepalived-stopped'),
      namespace: 'none',
      logFacility: () => 1,
      commands: { haproxy: '/bin/haproxy-vrrp-check', datapath: '/bin/amphora-datapath-check' },
      services,
      log,
    }),
    metrics: { follow: () => Promise.resolve() },
    announcer: {
      announce: (addresses) => {
        announced.push([...addresses]);
        return Promise.resolve();
      },
    },
    dhcp: { follow: () => Promise.resolve() },
    neighbours: { keep: () => Promise.resolve() },
    checks: { commands: { ping: '/ping', udp: '/udp', sctp: '/sctp' }, canCheckSctp: true },
    log,
  });
  await amphora.start(() => Promise.resolve(new Set()));
  const pair = { cert: join(certs, 'server.pem'), ca: join(certs, 'client_ca.pem') };
  const app = createServer(
    operations({
      amphora,
      store,
      network,
      info: {
        haproxyCmd: '/usr/sbin/haproxy',
        networkCounters: () => Promise.resolve({ eth1: { network_tx: 1, network_rx: 2 } }),
        haproxyCount: () => Promise.resolve(0),
      },
      checks: {
        directory: join(directory, 'checks'),
        pingWrapper: join(directory, 'ping'),
        lvsCheckDirectory: join(directory, 'lib/lvs/check'),
      },
      serverCert: pair.cert,
      replaceConfig: (text) => {
        parseAgentConfig(config.file, text);
        return Promise.resolve();
      },
    }),
    { pair, log, requestReadTimeoutSeconds: 180 },
  );
  return { app, amphora, dataplane, network, haproxy, services, announced, store, directory };
};

/** A recorded upload with the paths of this bed. */
export const upload = (directory: string, name: string): string =>
  readFileSync(
    join(import.meta.dirname, '../fixtures/controller-configs', name),
    'utf8',
  ).replaceAll('/var/lib/octavia', `${directory}/lib`);
