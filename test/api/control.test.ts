// SPDX-License-Identifier: Apache-2.0
// amphoractl's commands against a served control socket.
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { flows } from '../../agent/bin/ctl-flows.js';
import { stats } from '../../agent/bin/ctl-stats.js';
import { status } from '../../agent/bin/ctl-status.js';
import { controlSource } from '../../agent/control-source.js';
import type {
  Counters,
  FlowEvent,
  FlowFilter,
  FlowRecord,
} from '../../agent/core/model/dataplane.js';
import { serveControl } from '../../agent/shell/control.js';
import { startBed, upload } from './recorders.js';

const LB = 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9';
const LISTENER = '5b5f836e-5c59-588b-b2bf-926403636453';
const POOL = 'df082fac-e8e4-5e85-82d6-810546f745c3';
const MEMBER = '1c9440f5-11e1-54db-96c6-fe912806038f';
const zero = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, flows: 7, open: 3, refusals: 0 };
const counters: Counters = {
  listeners: {
    [LISTENER]: {
      ...zero,
      rxBytes: 1_234_567,
      refusedAcl: 2,
      refusedLimit: 0,
      refusedNoMember: 0,
      refusedNoPort: 0,
      refusedTableFull: 0,
      droppedGuard: 0,
      reselected: 0,
      pools: { [POOL]: { [MEMBER]: zero } },
    },
  },
  reasons: { not_ours: 5, new_flow: 0 },
  eventsLost: 1,
};
const flow: FlowRecord = {
  protocol: 'tcp',
  client: '10.0.0.100:4000',
  vip: '10.0.0.10:80',
  snat: '10.1.0.20:10240',
  member: '10.1.0.10:80',
  listenerId: LISTENER,
  memberId: MEMBER,
  state: 'open',
  ageSeconds: 3,
  idleSeconds: 1,
  rxBytes: 10,
  txBytes: 20_000,
};

const outputTo = (lines: string[]) => ({
  line: (text: string) => lines.push(text),
  error: (text: string) => lines.push(`error: ${text}`),
});

const serve = async (t: Test) => {
  const bed = await startBed(t.testdir());
  const asked: FlowFilter[] = [];
  let emit: (events: readonly FlowEvent[]) => void = () => undefined;
  let followers = 0;
  bed.dataplane.counters = () => counters;
  bed.dataplane.flows = ((filter: FlowFilter) => {
    asked.push(filter);
    return [flow];
  }) as typeof bed.dataplane.flows;
  bed.dataplane.follow = ((onEvents: typeof emit) => {
    emit = onEvents;
    followers += 1;
    return () => {
      followers -= 1;
    };
  }) as typeof bed.dataplane.follow;
  const socket = join(bed.directory, 'run/control.sock');
  const source = controlSource({
    amphora: bed.amphora,
    dataplane: bed.dataplane,
    amphoraId: 'amphora-1',
    startedAt: new Date(0),
    sizes: { listeners: 10, members: 20 },
  });
  const server = await serveControl(socket, source, pino({ level: 'silent' }));
  t.teardown(() => {
    server.close();
  });
  await bed.app.inject({
    method: 'PUT',
    url: `/1.0/loadbalancer/amphora/${LB}/haproxy`,
    payload: upload(bed.directory, 'a01-tcp/haproxy-08d76b82-11.0.0.cfg'),
  });
  await bed.app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${LB}/reload` });
  return {
    bed,
    socket,
    asked,
    emit: (events: readonly FlowEvent[]) => {
      emit(events);
    },
    followers: () => followers,
  };
};

t.test('the socket is for root alone', async (t) => {
  const { socket } = await serve(t);
  t.equal(statSync(socket).mode & 0o777, 0o600);
});

t.test('status', async (t) => {
  const { bed, socket } = await serve(t);
  t.strictSame(bed.amphora.snapshot().mapWrites, {}, 'nothing was written');
  for (const writes of [{ members: 1, pool_slots: 1 }, { pool_slots: 2 }]) {
    bed.dataplane.apply = () => Promise.resolve({ writes, hooks: [] });
    await bed.amphora.networkChanged();
  }
  bed.dataplane.apply = () => Promise.resolve({ writes: {}, hooks: [] });
  await bed.amphora.setDown(new Set([`${POOL}:${LISTENER}/${MEMBER}`]));
  const lines: string[] = [];
  t.equal(await status.run(['--socket', socket], outputTo(lines)), 0);
  const text = lines.join('\n');
  t.match(text, /amphora amphora-1, .*maps created/);
  t.match(text, /listener 5b5f836e\S+ {2}TCP 10\.0\.0\.10 80/);
  t.match(text, /engine datapath, 3 open/);
  t.match(text, /l4: /);
  t.match(text, /1c9440f5\S+ +10\.1\.0\.10 80 +1 +DOWN +3 +its monitor/);
  t.match(text, /flows +3 +1000/);
  t.match(text, /map writes since the agent started: members 1, pool_slots 3\n/);
  t.match(text, /1 flow events lost/);
  const json: string[] = [];
  t.equal(await status.run(['--socket', socket, '--json'], outputTo(json)), 0);
  t.match(JSON.parse(json[0] ?? ''), {
    listeners: [{ id: LISTENER, engine: 'datapath', isLive: true }],
  });
});

t.test('stats', async (t) => {
  const { socket } = await serve(t);
  const lines: string[] = [];
  t.equal(await stats.run(['--socket', socket], outputTo(lines)), 0);
  t.match(lines.join('\n'), /5b5f836e\S+ +7 +3 +0 +1\.2M +0 +0 +2/);
  t.match(lines.join('\n'), /not_ours +5/);
  t.notMatch(lines.join('\n'), /new_flow/);
  const json: string[] = [];
  await stats.run(['--socket', socket, '--json'], outputTo(json));
  t.strictSame(JSON.parse(json[0] ?? ''), counters);
});

t.test('flows: listed, filtered, followed', async (t) => {
  const { socket, asked, emit, followers } = await serve(t);
  const lines: string[] = [];
  const filter = ['--listener', LISTENER, '--member', MEMBER, '--client', '10.0.0.100'];
  t.equal(await flows.run(['--socket', socket, ...filter, '--limit', '5'], outputTo(lines)), 0);
  t.strictSame(asked, [{ limit: 5, listenerId: LISTENER, memberId: MEMBER, client: '10.0.0.100' }]);
  t.match(lines[1], /tcp +10\.0\.0\.100:4000 +10\.0\.0\.10:80 .*open +3s +1s +10 +20k/);
  await t.rejects(flows.run(['--limit', '0'], outputTo([])), { message: /--limit/ });

  const followed: string[] = [];
  const running = flows.run(['--socket', socket, '--follow', ...filter], outputTo(followed));
  while (followers() === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  const event: FlowEvent = { ...flow, type: 'close', reset: true };
  emit([event, { ...event, client: '10.0.0.200:4000' }, { ...event, memberId: null }]);
  while (followed.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  t.strictSame(followed, [
    'reset  tcp  10.0.0.100:4000 -> 10.0.0.10:80 -> 10.1.0.10:80  3s rx 10 tx 20000',
  ]);
  void running;
});

t.test('what is no request, and no agent', async (t) => {
  const { socket } = await serve(t);
  const connection = connect(socket);
  connection.write('{"command":"reboot"}\nnonsense\n');
  const answers: string[] = [];
  connection.on('data', (chunk: Buffer) => answers.push(chunk.toString()));
  while (answers.join('').split('\n').length < 3) await once(connection, 'data');
  t.equal(answers.join(''), '{"error":"not a request"}\n'.repeat(2));
  connection.destroy();
  const lines: string[] = [];
  t.equal(await status.run(['--socket', `${socket}.no`], outputTo(lines)), 1);
  t.match(lines[0], /error: amphoractl: no agent at .*ENOENT/);
});
