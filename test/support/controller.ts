// SPDX-License-Identifier: Apache-2.0
// Plays the Octavia controller: the calls, headers and their order as recorded from a real one.
import { request } from 'node:https';
import { join } from 'node:path';
import { type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { AMPHORA_ID, controllerTls } from './tls.js';
import { MANAGEMENT, NETWORKS, PORTS, VIP, FAR, type NetworkName } from './topology.js';
import { ended, sleep, until } from './run.js';
import type { World } from './world.js';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Rule {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'VRRP';
  readonly cidr: string | null;
  readonly port: number;
}

const NOT_YET_THERE = 'No suitable network interface found';
const PLUG_ATTEMPTS = 60;

export class Controller {
  readonly #socketPath: string;
  readonly #forwarder: ChildProcess;

  readonly #timeoutMs: number;
  readonly #onAnswer: (method: string, path: string, answer: Answer) => void;

  /** Calls go through a byte forwarder in the management namespace, so TLS runs end to end. */
  constructor(
    world: World,
    onAnswer: (method: string, path: string, answer: Answer) => void = () => undefined,
    timeoutMs = 60_000,
  ) {
    this.#timeoutMs = timeoutMs;
    this.#onAnswer = onAnswer;
    this.#socketPath = join(world.directory, 'agent.sock');
    const listen = `UNIX-LISTEN:${this.#socketPath},fork`;
    const target = `TCP:${MANAGEMENT.amphora}:9443`;
    const bound = ['--pdeathsig', 'KILL', 'socat', listen, target];
    this.#forwarder = world.management.spawn('setpriv', bound, { stdio: 'ignore' });
  }

  /** Where clients of another kind reach the agent's port. */
  get socketPath(): string {
    return this.#socketPath;
  }

  async close(): Promise<void> {
    this.#forwarder.kill();
    await ended(this.#forwarder);
  }

  /** One HTTPS request on a connection of its own. Rejects on TLS failure, reset and when the time is over. */
  call(method: string, path: string, body?: string | object): Promise<Answer> {
    const isJson = typeof body === 'object';
    const content = isJson ? JSON.stringify(body) : (body ?? '');
    const headers = {
      'User-Agent': 'Octavia HaProxy Rest Client/1.0 (https://wiki.openstack.org/wiki/Octavia)',
      'Accept-Encoding': 'gzip, deflate',
      Accept: '*/*',
      Connection: 'keep-alive',
      ...(method === 'GET' ? {} : { 'Content-Length': Buffer.byteLength(content) }),
      ...(isJson ? { 'Content-Type': 'application/json' } : {}),
    };
    const options = {
      socketPath: this.#socketPath,
      method,
      path,
      headers,
      agent: false,
      timeout: this.#timeoutMs,
    };
    return new Promise((resolve, reject) => {
      const sent = request({ ...options, ...controllerTls() }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      });
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer in time`)));
      sent.on('error', reject);
      sent.end(content);
    });
  }

  /**
   * A call that the controller takes for success; throws with the answer otherwise. As the controller it asks again
   * while a port that was just plugged is not there yet.
   */
  async must(method: string, path: string, body?: string | object): Promise<Answer> {
    let answer = await this.call(method, path, body);
    for (let left = PLUG_ATTEMPTS; left > 0 && answer.body.includes(NOT_YET_THERE); left -= 1) {
      await sleep(1000);
      answer = await this.call(method, path, body);
    }
    const refused = answer.status >= 400 && answer.status !== 409;
    if (refused) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    this.#onAnswer(method, path, answer);
    return answer;
  }

  /** Asks until the agent answers, as for a VM that boots. */
  async waitForAgent(timeoutMs = 120_000): Promise<void> {
    const ask = async () => existsSync(this.#socketPath) && (await this.#reachable());
    await until('the agent answers GET //', ask, timeoutMs);
    await this.must('GET', '/1.0/info');
  }

  async #reachable(): Promise<boolean> {
    const answer = await this.call('GET', '//').catch(() => null);
    return answer?.status === 200 && answer.body.includes('"1.0"');
  }

  /** IPv4 VIP first, the IPv6 and the second IPv4 one as additional VIPs of the same port. */
  async plugVip(isSriov = false): Promise<void> {
    await this.must('GET', '//');
    const [first, ...others] = NETWORKS.vip.subnets;
    const addresses = [VIP.v6, VIP.second];
    await this.must('POST', `/1.0/plug/vip/${VIP.v4}`, {
      subnet_cidr: first.cidr,
      gateway: first.gateway,
      mac_address: PORTS.vip.mac,
      vrrp_ip: PORTS.vip.v4,
      mtu: NETWORKS.vip.mtu,
      host_routes: [],
      additional_vips: others.map(({ cidr, gateway }, i) => ({
        subnet_cidr: cidr,
        ip_address: addresses[i],
        gateway,
        host_routes: [],
      })),
      is_sriov: isSriov,
    });
  }

  async plugNetwork(network: Exclude<NetworkName, 'vip'>): Promise<void> {
    await this.must('GET', '//');
    const [v4, v6] = NETWORKS[network].subnets;
    const routes = (nexthop: string, destination: string) =>
      network === 'member' ? [{ nexthop, destination }] : [];
    await this.must('POST', '/1.0/plug/network', {
      mac_address: PORTS[network].mac,
      fixed_ips: [
        {
          ip_address: PORTS[network].v4,
          subnet_cidr: v4.cidr,
          gateway: v4.gateway,
          host_routes: routes(FAR.v4, FAR.subnet4),
        },
        {
          ip_address: PORTS[network].v6,
          subnet_cidr: v6.cidr,
          gateway: v6.gateway,
          host_routes: routes(FAR.v6, FAR.subnet6),
        },
      ],
      mtu: NETWORKS[network].mtu,
      is_sriov: false,
    });
  }

  /** What every change of a load balancer sends to an amphora. */
  async pushLoadBalancer(id: string, config: string): Promise<void> {
    await this.must('GET', '//');
    await this.must('GET', '/1.0/info');
    await this.must('GET', '/1.0/details');
    await this.must('PUT', `/1.0/loadbalancer/${AMPHORA_ID}/${id}/haproxy`, config);
    await this.must('PUT', `/1.0/loadbalancer/${id}/reload`);
  }

  /** The same for a UDP or SCTP listener. */
  async pushLvsListener(id: string, config: string): Promise<void> {
    await this.must('GET', '//');
    await this.must('GET', '/1.0/info');
    await this.must('PUT', `/1.0/listeners/${AMPHORA_ID}/${id}/udp_listener`, config);
    await this.must('PUT', `/1.0/loadbalancer/${id}/reload`);
  }

  async putRules(rules: readonly Rule[]): Promise<Answer> {
    await this.must('GET', '//');
    return this.must('PUT', `/1.0/interface/${PORTS.vip.v4}/rules`, rules);
  }
}
