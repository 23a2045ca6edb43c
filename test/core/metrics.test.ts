// SPDX-License-Identifier: Apache-2.0
// Metrics of both engines in one text (contract 8), against what a real HAProxy 2.6 exports.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { metricNames } from '../../agent/core/metrics/names.js';
import { parseExporter } from '../../agent/core/metrics/haproxy.js';
import { type MetricsInput, renderMetrics } from '../../agent/core/metrics/metrics.js';
import type { ListenerCounters, MemberCounters } from '../../agent/core/model/dataplane.js';
import type { ListenerStatus, MemberStatus } from '../../agent/core/report/status.js';

const exporter = readFileSync(
  join(import.meta.dirname, '../fixtures/metrics/haproxy-2.6.txt'),
  'utf8',
);
const PROXIED = '5687e4e4-033b-5353-af4a-7553c713db66';

const member = (id: string, change: Partial<MemberStatus> = {}): MemberStatus => ({
  id,
  address: '10.1.0.10',
  port: 80,
  weight: 1,
  backup: false,
  state: 'UP',
  why: null,
  open: 0,
  ...change,
});
const traffic = (flows: number, open = 0): MemberCounters => ({
  rxPackets: 1,
  rxBytes: flows * 100,
  txPackets: 1,
  txBytes: flows * 1000,
  flows,
  open,
  refusals: 1,
});
const listener: ListenerStatus = {
  id: 'LL',
  loadBalancerId: 'LB',
  protocol: 'TCP',
  vips: [],
  engine: 'datapath',
  reasons: [],
  isLive: true,
  log: [],
  open: 3,
  pools: [
    {
      id: 'PP',
      algorithm: 'ROUND_ROBIN',
      members: [
        member('M1'),
        member('M2', { state: 'DOWN' }),
        member('M3', { state: 'no check', weight: 0 }),
        member('M4', { backup: true }),
      ],
    },
  ],
};
const counters: ListenerCounters = {
  ...traffic(12, 3),
  refusedAcl: 2,
  refusedLimit: 5,
  refusedNoMember: 0,
  refusedNoPort: 0,
  refusedTableFull: 0,
  droppedGuard: 0,
  reselected: 0,
  pools: { PP: { M1: traffic(7, 2), M2: traffic(5, 1) } },
};
const agent: MetricsInput['agent'] = {
  listeners: [listener, { ...listener, id: PROXIED, engine: 'haproxy' }],
  counters: { listeners: { LL: counters }, reasons: {}, eventsLost: 0 },
};
const render = (change: Partial<MetricsInput> = {}): string =>
  renderMetrics({ cpu: 12.34, memory: 56.78, exporter, agent, ...change });
const sample = (text: string, name: string): string | undefined =>
  text
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.slice(name.length + 1);

t.test('Prometheus can read it: each family once, help and type before its samples', async (t) => {
  const families = render()
    .split(/^# HELP /m)
    .slice(1);
  const names = families.map((text) => text.split(' ', 1).join(''));
  t.strictSame(names, [...new Set(names)], 'each family once');
  t.ok(names.length > 120, `${names.length} families`);
  for (const [index, text] of families.entries()) {
    const name = names[index] ?? '';
    const value = String.raw`(-?[\d.]+(e[+-]\d+)?|NaN|[+-]Inf)`;
    const line = String.raw`${name}(\{\w+="[^"]*"(,\w+="[^"]*")*\})? ${value}\n`;
    const shape = String.raw`^${name} \S.*\n# TYPE ${name} (gauge|counter)\n(${line})+$`;
    if (!new RegExp(shape).test(text)) t.match(text, new RegExp(shape), name);
  }
});

t.test('of HAProxy, all that has a name here and nothing of the internal sections', async (t) => {
  const text = render();
  t.notMatch(text, /prometheus-exporter|^haproxy|proxy="|server="/m);
  const found = new Set(parseExporter(exporter).map(({ name }) => name));
  const missing = [...metricNames.values()].filter(({ name }) => !found.has(name));
  t.strictSame(missing, [], 'HAProxy 2.6 exports each metric of the table');
  t.equal(sample(text, `octavia_listener_status{listener="${PROXIED}",state="UP"}`), '1');
  t.match(text, /^octavia_pool_active_members\{pool="P:L"\} \d+$/m);
  t.match(text, /^octavia_member_idle_connections_limit\{pool="P:L",member="M2"\} (NaN|-?\d+)$/m);
  t.match(text, /^octavia_pool_member_aborts_total\{/m);
  t.match(text, /^# TYPE octavia_listener_bytes_in_total counter$/m);
});

t.test('of the datapath, under the same names', async (t) => {
  const text = render();
  const expected = {
    octavia_loadbalancer_cpu: '12.3',
    octavia_loadbalancer_memory: '56.8',
    'octavia_listener_status{listener="LL",state="UP"}': '1',
    'octavia_listener_status{listener="LL",state="DOWN"}': '0',
    'octavia_listener_current_sessions{listener="LL"}': '3',
    'octavia_listener_connections_total{listener="LL"}': '12',
    'octavia_listener_bytes_in_total{listener="LL"}': '1200',
    'octavia_listener_bytes_out_total{listener="LL"}': '12000',
    'octavia_listener_denied_connections_total{listener="LL"}': '7',
    'octavia_pool_status{pool="PP:LL",state="UP"}': '1',
    'octavia_pool_sessions_total{pool="PP:LL"}': '12',
    'octavia_pool_active_members{pool="PP:LL"}': '1',
    'octavia_pool_backup_members{pool="PP:LL"}': '1',
    'octavia_member_sessions_total{pool="PP:LL",member="M1"}': '7',
    'octavia_member_current_sessions{pool="PP:LL",member="M2"}': '1',
    'octavia_member_connection_errors_total{pool="PP:LL",member="M2"}': '1',
    'octavia_member_status{pool="PP:LL",member="M1",state="UP"}': '1',
    'octavia_member_status{pool="PP:LL",member="M2",state="DOWN"}': '1',
    'octavia_member_status{pool="PP:LL",member="M3",state="DRAIN"}': '1',
    'octavia_member_weight{pool="PP:LL",member="M3"}': '0',
    [`octavia_listener_sessions_total{listener="${PROXIED}"}`]: '0',
  };
  for (const [name, value] of Object.entries(expected)) t.equal(sample(text, name), value, name);
});

t.test('a pool that HAProxy only checks: checks of one, traffic of the other', async (t) => {
  const members = [member('M1')];
  const checked = { ...listener, id: 'L', pools: [{ id: 'P', algorithm: 'RR', members }] };
  const own = { ...counters, pools: { P: { M1: traffic(4) } } };
  const text = render({
    agent: {
      listeners: [checked],
      counters: { listeners: { L: own }, reasons: {}, eventsLost: 0 },
    },
  });
  t.equal(sample(text, 'octavia_member_sessions_total{pool="P:L",member="M1"}'), '4');
  t.match(text, /^octavia_member_check_failures_total\{pool="P:L",member="M1"\} \d+$/m);
  t.equal(text.split('octavia_pool_sessions_total{pool="P:L"}').length, 2, 'one sample for it');
});

t.test('totals count both engines; without the agent HAProxy stands alone', async (t) => {
  const total = 'octavia_loadbalancer_connections_total';
  const alone = render({ agent: null });
  t.equal(Number(sample(render(), total)) - Number(sample(alone, total)), 12);
  t.notMatch(alone, /"LL"/);
  t.match(alone, new RegExp(PROXIED));
});

t.test('labels are escaped', async (t) => {
  const text = render({
    agent: {
      listeners: [{ ...listener, id: 'a"b\\c' }],
      counters: { listeners: {}, reasons: {}, eventsLost: 0 },
    },
  });
  t.match(text, 'octavia_listener_current_sessions{listener="a\\"b\\\\c"} 0');
});
