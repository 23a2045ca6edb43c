// SPDX-License-Identifier: Apache-2.0
// What an amphora of its own (SINGLE, at tc) does for its surroundings: announcements, checks, metrics, interfaces.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { makeBed } from '../support/bed.js';
import { LOAD_BALANCER, listenerId, type ListenerSpec } from '../support/load-balancer-config.js';
import { inCheckout } from '../support/paths.js';
import { ended, sleep, until } from '../support/run.js';
import { PORTS, VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

const PORT = 8001;
const listener: ListenerSpec = {
  fixture: 'a01-tcp',
  port: PORT,
  members: [{ member: 'm1' }, { member: 'm2' }],
};
const listener6: ListenerSpec = { ...listener, port: 8002, vips: [VIP.v6] };

/** The sections that the controller adds for a PROMETHEUS listener, as it rendered them. */
const metricsSections = (id: string): string => {
  const text = readFileSync(
    inCheckout('test/fixtures/controller-configs/a40-prometheus/haproxy-d7bcbc1e-11.0.0.cfg'),
    'utf8',
  );
  const from = text.indexOf('frontend prometheus-exporter-internal-endpoint');
  const end = text.indexOf('\nfrontend ', from + 1);
  const internal = text.slice(from, end);
  return `${internal}
frontend ${id}
    maxconn 1000
    bind ${VIP.v4}:9100
    mode http
    timeout client 5000
    default_backend prometheus-exporter-internal
`;
};

t.test('a single amphora and its surroundings', async (t) => {
  const bed = await makeBed(t, { hook: 'tc', ports: [PORT] });
  const { vm, world, controller } = bed;
  const check = (): Promise<string> =>
    vm.execTenant(inCheckout('build/commands/amphora-datapath-check')).then(
      () => 'passes',
      (error: unknown) => String(error),
    );
  t.match(await check(), /eth1: its program serves nothing/);

  const heard = world.router.spawn(
    'tcpdump',
    ['-lnei', 'vip', `ether src ${PORTS.vip.mac} and (arp or icmp6)`],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let words = '';
  heard.stdout?.on('data', (data: Buffer) => (words += data.toString()));
  await sleep(700);
  await bed.push(listener, listener6);
  const request = `> ff:ff:ff:ff:ff:ff.*Request who-has ${VIP.v4}( \\(ff:ff:ff:ff:ff:ff\\))? tell ${VIP.v4}`;
  const advertisement = `> 33:33:00:00:00:01.*neighbor advertisement, tgt is ${VIP.v6}`;
  await until('both are announced', async () =>
    [request, advertisement].every((pattern) => new RegExp(pattern).test(words)),
  ).catch((error: unknown) => t.fail(`${String(error)}: ${words}`));
  heard.kill();
  await ended(heard);
  t.pass('gratuitous ARP and an unsolicited advertisement after the reload');

  t.equal(await check(), 'passes', 'at tc too');
  await vm.killAgent('SIGKILL');
  t.equal(await check(), 'passes', 'without an agent');
  vm.startAgent();
  await controller.waitForAgent();

  const flows = new Flows(world.client, VIP.v4, PORT);
  await flows.open(10);
  const id = listenerId(9100);
  const text = readFileSync(vm.path(`/var/lib/octavia/${LOAD_BALANCER}/haproxy.cfg`), 'utf8');
  await controller.pushLoadBalancer(LOAD_BALANCER, `${text}\n${metricsSections(id)}`);
  const scrape = () =>
    world.client.exec('curl', '-sf', '--max-time', '5', `http://${VIP.v4}:9100/metrics`);
  const metrics = await until('metrics', () => scrape().catch(() => false as const), 15_000);
  const lines = new Set(metrics.split('\n'));
  for (const line of [
    `octavia_listener_connections_total{listener="${listenerId(PORT)}"} 10`,
    `octavia_listener_current_sessions{listener="${listenerId(PORT)}"} 10`,
    `octavia_listener_status{listener="${listenerId(PORT)}",state="UP"} 1`,
    `octavia_listener_status{listener="${id}",state="UP"} 1`,
    '# TYPE octavia_loadbalancer_cpu gauge',
  ]) {
    t.ok(lines.has(line), line);
  }
  t.match(
    metrics,
    new RegExp(
      `octavia_member_sessions_total\\{pool="\\S+:${listenerId(PORT)}",member="\\S+"\\} 5\n`,
    ),
  );
  await flows.stop();
  await bed.push(listener);
  await sleep(300);
  const left = await vm.exec('pgrep', '-f', 'prometheus-proxy').catch(() => '');
  t.equal(left.trim(), '', 'nobody wants metrics, so nothing gathers them');
});

t.test('amphora-interface', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [PORT] });
  const { vm } = bed;
  const script = inCheckout('dist/agent/bin/amphora-interface.js');
  const call = async (...args: string[]): Promise<readonly [number, string]> => {
    const inside = ['nsenter', '--net=/run/netns/amphora-haproxy', '--', process.execPath, script];
    const words = ['-c', '"$@"; echo "exit $?"', 'sh', ...inside, ...args];
    const output = await vm.exec('sh', ...words);
    const [, said = '', status = '-1'] = /^([^]*)exit (\d+)\n$/.exec(output) ?? [];
    return [Number(status), said.trim()];
  };
  const show = (): Promise<string> => vm.execTenant('ip', '-o', 'address', 'show', 'dev', 'eth1');
  const rules = (): Promise<string> => vm.execTenant('ip', 'rule', 'show');
  const routes = (): Promise<string> => vm.execTenant('ip', 'route', 'show', 'table', '1');
  const before = [await show(), await rules(), await routes()];
  t.match(before[0], VIP.v4);

  t.strictSame(await call('down', 'eth1'), [0, '']);
  t.notMatch(await show(), VIP.v4);
  t.notMatch(await rules(), VIP.v4);
  t.match(await vm.execTenant('ip', '-o', 'link', 'show', 'dev', 'eth1'), /state DOWN/);
  t.strictSame(await call('up', 'eth1'), [0, '']);
  await until('all is back', async () => {
    const now = [await show(), await rules(), await routes()];
    return now.every((text, at) => linesOf(text).join() === linesOf(before[at] ?? '').join());
  });
  t.strictSame(await call('up', 'all'), [0, ''], 'nothing left to do');
  t.strictSame(linesOf(await routes()), linesOf(before[2] ?? ''));

  t.strictSame(await call('up', 'eth9'), [2, 'Error: no interface file for eth9']);
  t.equal((await call('up'))[0], 2);
  t.equal((await call('sideways', 'eth1'))[0], 2);

  // As after a reboot: the ports are where the machine puts them, and nothing of the agent runs.
  await vm.killAgent('SIGKILL');
  await vm.execTenant('ip', 'link', 'set', 'eth2', 'netns', '1', 'name', 'ens9');
  await vm.exec(process.execPath, script, 'prepare');
  const member = await vm.execTenant('ip', '-o', 'address', 'show', 'dev', 'eth2');
  t.match(member, PORTS.member.v4);
});

/** Without what changes by itself: numbers of interfaces and lifetimes, order. */
const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.replace(/^\d+:/, '').replaceAll(/\s+/g, ' ').trim())
    .filter((line) => line !== '' && !line.includes('fe80::'))
    .sort();
