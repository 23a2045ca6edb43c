// SPDX-License-Identifier: Apache-2.0
// A line per flow through a real rsyslogd, beside HAProxy's own lines for the same traffic.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import {
  listenerId,
  LOAD_BALANCER,
  memberId,
  poolId,
  renderLoadBalancer,
  type ListenerSpec,
} from '../support/load-balancer-config.js';
import { LogReceiver } from '../support/log-receiver.js';
import { sleep, until } from '../support/run.js';
import { CLIENT, VIP } from '../support/topology.js';
import { datagrams, Flows } from '../support/traffic.js';

const timeouts = { clientMs: 3000, connectMs: 1000, serverMs: 4000 };
const ours: ListenerSpec = {
  ...{ fixture: 'a01-tcp', port: 8001, members: [{ member: 'm1' }], timeouts },
};
/** The same through HAProxy: a directive that only a proxy honours keeps it there. */
const proxied: ListenerSpec = { ...ours, port: 8002 };
const refused: ListenerSpec = { ...ours, port: 8003 };
const empty: ListenerSpec = { ...ours, port: 8004, members: [{ member: 'm1', enabled: false }] };
const web: ListenerSpec = { ...ours, fixture: 'a16-http', port: 8005 };
const ours6: ListenerSpec = { ...ours, port: 8006, vips: [VIP.v6] };
const udp: ListenerSpec = { fixture: 'a36-udp', port: 5301, members: [{ member: 'm1' }] };

const config = (...specs: ListenerSpec[]): string =>
  renderLoadBalancer(specs).replace(`frontend ${listenerId(8002)}\n`, '$&    option tcpka\n');

/** One conversation: echo, a pause, an end. Tells what the client itself saw. */
const CLIENT_SCRIPT = `
import json, socket, struct, sys, time
address, port, size, pause, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
begin = time.time()
received = sent = 0
s = socket.create_connection((address, port), 5) if how != 'refused' else socket.socket()
if how == 'refused':
    s.bind(('', 0))
    try: s.connect((address, port))
    except OSError: pass
else:
    text = b'GET / HTTP/1.0\\r\\n\\r\\n' if how == 'http' else b'e' + b'x' * size
    s.sendall(text)
    sent = len(text)
    while how == 'http' or received < size + 8:
        part = s.recv(65536)
        if not part: break
        received += len(part)
    time.sleep(pause)
    if how == 'idle':
        try: s.recv(1)
        except OSError: pass
here = s.getsockname()[1]
if how == 'rst': s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
seconds = time.time() - begin
s.close()
print(json.dumps({'port': here, 'sent': sent, 'received': received, 'ms': seconds * 1000, 'begin': begin * 1000}))
`;

interface Seen {
  /** Segments that the client's kernel sent more than once meanwhile. */
  readonly resent: number;
  readonly port: number;
  readonly sent: number;
  readonly received: number;
  readonly ms: number;
  readonly begin: number;
}

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const parseTime = (text: string): number => {
  const [, day, month = '', year, hour, minute, second, ms] =
    /^(\d\d)\/(\w{3})\/(\d{4}):(\d\d):(\d\d):(\d\d)\.(\d{3})$/.exec(text) ?? [];
  const of = (part: string | undefined): number => Number(part);
  const monthIndex = MONTHS.indexOf(month) / 3;
  return new Date(
    of(year),
    monthIndex,
    of(day),
    of(hour),
    of(minute),
    of(second),
    of(ms),
  ).getTime();
};

t.test('the log of flows', { timeout: 280_000 }, async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002, 8006, 5301] });
  const { world, vm, controller } = bed;
  const receiver = await LogReceiver.start(world, vm);
  t.teardown(() => receiver.stop());
  const http = world.members.m1.spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      'python3',
      '-m',
      'http.server',
      '8005',
      '--directory',
      '/usr/share/doc/bash',
    ],
    { stdio: 'ignore' },
  );
  t.teardown(() => http.kill('SIGKILL'));
  const all = [ours, proxied, refused, empty, web, ours6];
  await controller.pushLoadBalancer(LOAD_BALANCER, config(...all));
  await bed.pushUdp(udp);
  const talk = async (
    port: number,
    how: string,
    options: { size?: number; pause?: number; vip?: string } = {},
  ): Promise<Seen> => {
    const { size = 100, pause = 0, vip = VIP.v4 } = options;
    const resent = async (): Promise<number> =>
      (await world.client.netstat()).get('TcpRetransSegs') ?? 0;
    const before = await resent();
    const seen = JSON.parse(
      await world.client.exec(
        ...([
          'python3',
          '-c',
          CLIENT_SCRIPT,
          vip,
          String(port),
          String(size),
          String(pause),
          how,
        ] as const),
      ),
    ) as Omit<Seen, 'resent'>;
    return { ...seen, resent: (await resent()) - before };
  };
  /** Each field against what the client saw. */
  const check = (
    t: Tap,
    fields: readonly string[],
    seen: Seen,
    wanted: { port: number; member?: string; state: string; client?: string },
  ) => {
    const listener = listenerId(wanted.port);
    const [project, loadBalancer, f, ci, cp, time = '', , , B, U, verify, dn, b, s, Tt, tsc] =
      fields;
    t.match(project, /^[0-9a-f]{32}$/);
    t.strictSame(
      [loadBalancer, f, ci, cp, verify, dn, b, s, tsc],
      [
        ...[LOAD_BALANCER, listener, wanted.client ?? CLIENT.v4, String(seen.port), '-', '""'],
        ...[`${poolId(wanted.port)}:${listener}`, wanted.member ?? memberId(wanted.port, 'm1')],
        wanted.state,
      ],
    );
    // What was sent again counts again, unless HAProxy stands between.
    const isOurs = wanted.port !== 8002;
    const again = Number(B) - seen.received;
    t.ok(again === 0 || (isOurs && again > 0 && again % 1448 === 0), `${again} again`);
    const sentAgain = Number(U) - seen.sent;
    const most = isOurs ? seen.resent * 1448 : 0;
    t.ok(sentAgain >= 0 && sentAgain <= most, `${sentAgain} bytes of the client again`);
    t.ok(Math.abs(parseTime(time) - seen.begin) < 2000, `accepted at ${time}`);
    const duration = Number(Tt);
    t.ok(
      duration > Math.min(seen.ms, 3000) - 500 && duration < seen.ms + 8000,
      `${duration} for ${seen.ms} ms`,
    );
  };
  type Tap = typeof t;

  for (const [how, size, pause, state] of [
    ['fin', 100, 0.3, '----'],
    ['fin', 300_000, 0, '----'],
    ['rst', 1000, 0.3, 'CD--'],
    ['idle', 10, 0, 'cD--'],
  ] as const) {
    t.test(`${how} after ${size} bytes: the same as HAProxy`, async (t) => {
      for (const port of [8001, 8002]) {
        const seen = await talk(port, how, { size, pause });
        check(t, await receiver.fieldsOf(seen.port), seen, { port, state });
      }
    });
  }

  t.test('over IPv6', async (t) => {
    const seen = await talk(8006, 'fin', { vip: VIP.v6 });
    const fields = await receiver.fieldsOf(seen.port);
    check(t, fields, seen, { port: 8006, state: '----', client: CLIENT.v6 });
  });

  t.test('an HTTP listener’s line is HAProxy’s, in the same stream', async (t) => {
    const seen = await talk(8005, 'http');
    const fields = await receiver.fieldsOf(seen.port);
    t.strictSame(fields.slice(6, 8), ['"GET / HTTP/1.0"', '200']);
    // HAProxy counts its answer before it changes headers
    t.ok(Math.abs(Number(fields[8]) - seen.received) < 50, `${fields[8] ?? ''} bytes`);
    t.equal(fields[2], listenerId(8005));
  });

  t.test('connections that no member takes', async (t) => {
    const [dead, nobody] = [await talk(8003, 'refused'), await talk(8004, 'refused')];
    check(t, await receiver.fieldsOf(dead.port), dead, { port: 8003, state: 'SC--' });
    const fields = await receiver.fieldsOf(nobody.port);
    check(t, fields, nobody, { port: 8004, state: 'SC--', member: '<NOSRV>' });
  });

  t.test('UDP flows, in the default format', async (t) => {
    const spec = { address: VIP.v4, port: 5301, sockets: 2, rounds: 3, size: 50 };
    t.match(await datagrams(world.client, { ...spec, pauseMs: 10 }), { right: 6 });
    await bed.pushUdp({ ...udp, members: [{ member: 'm2' }] }); // the flows go with their member
    const lines = () => receiver.lines.filter((line) => line.includes(listenerId(5301)));
    await until('two lines', async () => lines().length === 2, 20_000);
    for (const line of lines()) {
      t.match(line, `${poolId(5301)}:${listenerId(5301)} ${memberId(5301, 'm1')}`);
      t.match(line, / DD--$/);
      t.match(line, /: - [0-9a-f-]{36} /, 'no combined config has its load balancer');
    }
  });

  const countOf = (port: number) =>
    receiver.lines.filter((line) => line.includes(` ${listenerId(port)} `)).length;

  t.test('what ends while the agent is dead is logged by the next one, once', async (t) => {
    const flows = new Flows(world.client, VIP.v4, 8001);
    const before = countOf(8001);
    t.equal((await flows.open(300, { parallel: 50 })).opened, 300);
    await vm.killAgent();
    await flows.close();
    await sleep(500);
    t.equal(countOf(8001), before);
    vm.startAgent();
    await controller.waitForAgent(60_000);
    await until('all lines', async () => countOf(8001) >= before + 300, 30_000);
    await sleep(500);
    t.equal(countOf(8001), before + 300);
    await flows.stop();
  });

  t.test('rsyslog may restart', async (t) => {
    await receiver.restart();
    const seen = await talk(8001, 'fin');
    check(t, await receiver.fieldsOf(seen.port), seen, { port: 8001, state: '----' });
  });

  t.test('with `no log` nothing is written', async (t) => {
    const quiet = config(...all)
      .replace('    log global\n', '    no log\n')
      .replaceAll(/^ +log-format .*\n/gm, '');
    await controller.pushLoadBalancer(LOAD_BALANCER, quiet);
    const before = receiver.lines.length;
    await talk(8001, 'fin');
    await talk(8002, 'fin');
    await sleep(1500);
    t.equal(receiver.lines.length, before);
  });
});
