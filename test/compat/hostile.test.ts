// SPDX-License-Identifier: Apache-2.0
// Thousands of inputs that nobody should send, against the real agent over mutual TLS. Whatever comes: the same
// process goes on, each answer is one that the controller reads as it is meant, a refusal changes nothing, no
// file is written but the agent's own, and no program runs with anything of an input.
//   SEED=7 INPUTS=10000 node_modules/.bin/tap --timeout=0 test/compat/hostile.test.ts     other inputs, and more of them
//   SEED=7 FIRST=4711 INPUTS=1 ...                                            one of them alone
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Bed, makeBed } from '../support/bed.js';
import { amphoraFixture } from '../support/fixtures.js';
import { haproxyFixture, lvsFixture } from '../support/fixtures.js';
import {
  amphoraPath,
  path,
  plugNetwork,
  plugVip,
  rawHttp,
  rules,
} from '../support/hostile/calls.js';
import { type Exchange, exchange } from '../support/hostile/exchange.js';
import { Random } from '../support/hostile/random.js';
import type { Input } from '../support/hostile/request.js';
import {
  VICTIMS,
  agentConfig,
  certificateUpload,
  haproxyUpload,
  lvsUpload,
  ownCertificate,
  vrrpUpload,
} from '../support/hostile/uploads.js';
import {
  OVERLAYS,
  differences,
  leakedSecrets,
  residentBytes,
  stateOf,
  strayFiles,
  strayPrograms,
} from '../support/hostile/watch.js';
import { PORTS, VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

const SEED = Number(process.env['SEED'] ?? 1);
const INPUTS = Number(process.env['INPUTS'] ?? 300);
const FIRST = Number(process.env['FIRST'] ?? 0);
/** Starting keepalived and HAProxy takes seconds where their configs are odd. */
const APPLY_EVERY = Number(process.env['APPLY_EVERY'] ?? 100);
const PORT = 8001;
const HEARTBEAT_KEY = 'SECRET-heartbeat-key';
/** Statuses that the controller does not read as success, beside those that mean it (contract 1.2). */
const MAPPED = new Set([200, 202, 308, 400, 404, 405, 409, 500]);
/** Failures of the machine that the contract has words for. */
const KNOWN_500 =
  /^(Unable to update amphora-agent configuration\.|Error plugging (VIP|vip|network)|Error (start|reload)ing haproxy|Failed to (start|stop|reload) octavia-keepalived service)$/;

const CERTIFICATE = '/etc/octavia/certs/server.pem';
const CONF = '/etc/octavia/amphora-agent.conf';

type Make = (random: Random, bed: Bed) => Input;

const good = (route: string): string =>
  route.endsWith('haproxy')
    ? haproxyFixture('a16-http')
    : route.endsWith('udp_listener')
      ? lvsFixture('a37-udp-hm-persist')
      : 'x';

/** How many of a hundred inputs are of which kind. */
const MIX: readonly (readonly [number, Make])[] = [
  [22, haproxyUpload],
  [14, lvsUpload],
  [10, vrrpUpload],
  [5, certificateUpload],
  [4, ownCertificate],
  [5, (random, { vm }) => agentConfig(random, readFileSync(vm.path(CONF), 'utf8'))],
  [6, plugVip],
  [6, plugNetwork],
  [6, rules],
  [14, (random) => path(random, good)],
  [8, rawHttp],
];

const inputOf = (number: number, bed: Bed): Input => {
  const random = new Random(SEED * 1_000_003 + number);
  let at = random.below(MIX.reduce((sum, [share]) => sum + share, 0));
  for (const [share, make] of MIX) {
    at -= share;
    if (at < 0) return make(random, bed);
  }
  return rawHttp(random);
};

/** Null, or what is wrong with an answer. */
const complaint = (input: Input, answer: Exchange | null): string | null => {
  if (answer === null) return input.mustAnswer ? 'no answer' : null;
  const { status, body, headers } = answer;
  if (!MAPPED.has(status)) return `status ${status}, which is success for the controller`;
  const words = errorWords(body);
  if (status === 500 && KNOWN_500.test(words ?? '')) return null;
  if (!input.allowed.includes(status)) return `status ${status}`;
  if (status < 400) return null;
  if (headers.get('content-type') !== 'application/json') return 'a refusal that is not JSON';
  const isHead = input.bytes.subarray(0, 5).toString() === 'HEAD ';
  return words === null && !isHead ? 'a refusal without words' : null;
};

/** The text of the error body's first field; null where there is none. */
const errorWords = (body: string): string | null => {
  try {
    const parsed = JSON.parse(body) as { message?: unknown; error?: unknown; details?: unknown };
    const words = parsed.message ?? parsed.error ?? parsed.details;
    return typeof words === 'string' && words !== '' ? words : null;
  } catch {
    return null;
  }
};

t.test(`${INPUTS} hostile inputs, seed ${SEED}`, { timeout: 7_200_000 }, async (t) => {
  const bed = await makeBed(t, {
    hook: 'xdp',
    ports: [PORT],
    traced: true,
    overlays: OVERLAYS,
  });
  const { controller, vm, world } = bed;
  await bed.push({ fixture: 'a01-tcp', port: PORT, members: [{ member: 'm1' }, { member: 'm2' }] });
  const conf = readFileSync(vm.path(CONF), 'utf8').replace(
    /^heartbeat_key.*/m,
    `heartbeat_key = ${HEARTBEAT_KEY}`,
  );
  await controller.must('PUT', '/1.0/config', conf);
  const flows = new Flows(world.client, VIP.v4, PORT);
  t.teardown(() => flows.stop());
  await flows.open(4);

  const pid = await vm.agentProcess();
  const counts = new Map<string, number>();
  let resident = 0;
  let state = stateOf(vm);
  for (let number = FIRST; number < FIRST + INPUTS; number += 1) {
    const input = inputOf(number, bed);
    const name = `input ${number} (${input.kind})`;
    const patience = input.kind === 'raw HTTP' ? 300 : 60_000;
    const answer = await exchange(controller.socketPath, input.bytes, patience).catch(String);
    const wrong =
      typeof answer === 'string' ? (input.mustAnswer ? answer : null) : complaint(input, answer);
    if (wrong !== null) {
      const tail = typeof answer === 'string' ? '' : `: ${answer?.body.slice(0, 300) ?? ''}`;
      t.fail(`${name}: ${wrong}${tail}`, {
        request: input.bytes.toString('latin1').slice(0, 1500),
      });
    }
    const status = typeof answer === 'string' ? 0 : (answer?.status ?? 0);
    count(counts, `${input.kind} ${status === 0 ? 'no answer' : status}`);
    const after = stateOf(vm);
    if (status >= 400) {
      const changed = differences(state, after);
      if (changed.length > 0)
        t.fail(`${name}: refused with ${status}, and changed ${changed.join(' ')}`);
    }
    state = after;
    // Bytes that only the issuer could tell from its own: the controller would not trust them any more.
    if (input.kind === 'own certificate' && status === 202) {
      writeFileSync(vm.path(CERTIFICATE), amphoraFixture('etc/octavia/certs/server.pem'));
      state = stateOf(vm);
    }
    if (number % APPLY_EVERY === 0) state = await apply(t, bed, number);
    if (number % 100 === 0) {
      if (!vm.agentRuns) break;
      resident = Math.max(resident, residentBytes(pid));
      const { right, wrong, lost } = await flows.check();
      if (right !== 4) t.fail(`${name}: traffic: ${right} right, ${wrong} wrong, ${lost} lost`);
    }
  }
  t.ok(vm.agentRuns, 'the agent runs');
  t.equal(await vm.agentProcess(), pid, 'the same process, all the time');
  // A mutated list may be a good one, and close the port to new connections.
  const open = [{ protocol: 'TCP', cidr: null, port: PORT }];
  await controller.must('PUT', `/1.0/interface/${PORTS.vip.v4}/rules`, open);
  const fresh = new Flows(world.client, VIP.v4, PORT);
  t.strictSame((await fresh.open(10)).members, { m1: 5, m2: 5 }, 'new connections are served');
  await fresh.stop();
  t.equal((await controller.must('GET', '/1.0/info')).status, 200);
  t.ok(resident < 400 * 1024 * 1024, `memory stays bounded: ${resident} bytes at most`);
  t.strictSame(strayFiles(vm), [], 'no file outside the base directories');
  const programs = readFileSync(vm.path('/run/exec.log'), 'utf8');
  t.ok(programs.includes('"haproxy"') || programs.includes('/haproxy"'), 'programs were recorded');
  t.strictSame(strayPrograms(programs), [], 'no program runs with anything of an input');
  t.strictSame(leakedSecrets(logsOf(bed), secrets()), [], 'no secret in any log');
  t.comment(
    [...counts]
      .sort()
      .map(([key, value]) => `${key}: ${value}`)
      .join(', '),
  );
  t.comment(`resident ${resident} bytes at most, ${programs.split('\n').length} programs`);
});

const count = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

const CALLS = [
  `/1.0/loadbalancer/${VICTIMS.loadBalancer}/reload`,
  `/1.0/loadbalancer/${VICTIMS.listener}/reload`,
  '/1.0/vrrp/start',
] as const;

/** What was accepted is put in force: it must do no more harm there. Then good configs take its place. */
const apply = async (t: Test, { controller, vm }: Bed, number: number) => {
  for (const call of CALLS) {
    const { status, body } = await controller.call('PUT', call);
    const isFine = status === 202 || status === 404 || KNOWN_500.test(errorWords(body) ?? '');
    if (!isFine) t.fail(`after input ${number}: ${call}: ${status} ${body}`);
  }
  if (number % (4 * APPLY_EVERY) === 0) {
    await controller.call('PUT', '/1.0/vrrp/stop');
    await controller.must('PUT', amphoraPath('haproxy'), haproxyFixture('a16-http'));
    await controller.must('PUT', amphoraPath('lvs'), lvsFixture('a37-udp-hm-persist'));
    await controller.must('DELETE', `/1.0/listeners/${VICTIMS.loadBalancer}`);
    await controller.must('DELETE', `/1.0/listeners/${VICTIMS.listener}`);
  }
  return stateOf(vm);
};

/** Of the agent, its services, and what went to the log socket. */
const logsOf = ({ vm }: Bed): string[] => {
  const directory = vm.path('/run/amphora-xdp/log');
  return [
    vm.log(),
    ...readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8')),
  ];
};

const secrets = (): string[] => [
  HEARTBEAT_KEY,
  'SECRET-continued-key',
  ...[
    'etc/octavia/certs/server.pem',
    'pki/controller.cert-and-key.pem',
    'pki/other_ca.key.pem',
  ].flatMap((file) =>
    amphoraFixture(file)
      .split('\n')
      .filter((line) => line.length === 64),
  ),
];
