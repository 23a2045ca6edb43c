// SPDX-License-Identifier: Apache-2.0
// The offload decision by itself; the grammar's share of it is in parse-refusal.test.ts.
import t from 'tap';
import { parseIpAddress } from '../../agent/core/model/address.js';
import type { IpAddress, Member, Pool } from '../../agent/core/model/load-balancer.js';
import { decideOffload, type OffloadInput } from '../../agent/core/plan/offload.js';

const ip = (text: string): IpAddress => {
  const parsed = parseIpAddress(text);
  if (parsed === null) throw new Error(text);
  return parsed;
};

const member = (address: string | null, changes: Partial<Member> = {}): Member => ({
  id: `m-${address ?? 'none'}`,
  address: address === null ? null : ip(address),
  port: 80,
  weight: 1,
  backup: false,
  enabled: true,
  monitorAddress: null,
  monitorPort: null,
  ...changes,
});

const pool = (members: readonly Member[], changes: Partial<Pool> = {}): Pool => ({
  id: 'p',
  protocol: 'tcp',
  algorithm: 'ROUND_ROBIN',
  persistence: null,
  monitor: null,
  members,
  memberConnectionLimit: null,
  timeouts: { connectMs: 5000, serverMs: 50_000 },
  ...changes,
});

const input = (
  pools: readonly Pool[],
  changes: Partial<OffloadInput['listener']> = {},
  rest: Partial<OffloadInput> = {},
): OffloadInput => ({
  listener: {
    id: 'l',
    loadBalancerId: 'lb',
    origin: 'haproxy',
    protocol: 'TCP',
    enabled: true,
    vips: [{ address: ip('10.0.0.1'), port: 80 }],
    connectionLimit: null,
    timeouts: { clientMs: 50_000, connectMs: 5000, serverMs: 50_000 },
    defaultPool: pools[0]?.id ?? null,
    pools,
    logFormat: null,
    ...changes,
  },
  obstacles: [],
  remarks: [],
  localAddresses: new Set([ip('10.0.0.1')]),
  ...rest,
});

const v4 = pool([member('10.1.0.1')]);
const v6 = pool([member('2001:db8::1')]);
const vips6 = [{ address: ip('2001:db8::10'), port: 80 }];
const lvs = { origin: 'lvs', protocol: 'UDP' } as const;
const cookie = { type: 'APP_COOKIE', cookieName: 'x' } as const;

const table: readonly (readonly [string, OffloadInput, string, readonly string[]])[] = [
  ['a plain listener', input([v4]), 'datapath', ['l4']],
  ['IPv6 throughout', input([v6], { vips: vips6 }), 'datapath', ['l4']],
  ['no pool', input([]), 'datapath', ['l4', 'no-pool']],
  ['no members', input([pool([])]), 'datapath', ['l4']],
  ['a disabled listener', input([v4], { enabled: false }), 'none', ['listener-disabled']],
  [
    'source persistence',
    input([pool([], { persistence: { type: 'SOURCE_IP' } })]),
    'datapath',
    ['l4'],
  ],
  [
    'a cookie in tcp mode',
    input([pool([], { persistence: cookie })]),
    'datapath',
    ['l4', 'cookie-inert'],
  ],
  ['members of the other family', input([v6]), 'haproxy', ['family-mix']],
  [
    'members of both families',
    input([pool([...v4.members, ...v6.members])]),
    'haproxy',
    ['family-mix'],
  ],
  [
    'VIPs of both families',
    input([v4], { vips: [...input([]).listener.vips, ...vips6] }),
    'haproxy',
    ['family-mix'],
  ],
  [
    'a disabled member of the other family',
    input([pool([member('::2', { enabled: false })])]),
    'datapath',
    ['l4'],
  ],
  ['a member by name', input([pool([member(null)])]), 'haproxy', ['member-address']],
  ['a member at the VIP', input([pool([member('10.0.0.1')])]), 'haproxy', ['member-local']],
  ['a member on loopback', input([pool([member('127.1.2.3')])]), 'haproxy', ['member-local']],
  [
    'a multicast member',
    input([pool([member('ff02::1')])], { vips: vips6 }),
    'haproxy',
    ['member-local'],
  ],
  [
    'what the parser saw',
    input([v4], {}, { obstacles: [{ code: 'x', text: 'y' }] }),
    'haproxy',
    ['x'],
  ],
  ['UDP', input([v4], lvs), 'datapath', ['l4', 'idle-time']],
  ['SCTP', input([v4], { ...lvs, protocol: 'SCTP' }), 'datapath', ['l4', 'idle-time']],
  [
    'UDP of two families',
    input([pool([...v4.members, ...v6.members])], {
      ...lvs,
      vips: [...input([]).listener.vips, ...vips6],
    }),
    'datapath',
    ['l4', 'idle-time', 'by-family'],
  ],
  [
    'UDP with a limit',
    input([pool([], { memberConnectionLimit: 5 })], lvs),
    'datapath',
    ['l4', 'idle-time', 'limit-per-member'],
  ],
  ['UDP without an address', input([], { ...lvs, vips: [] }), 'none', ['no-address']],
  [
    'UDP with a remark',
    input([v4], lvs, { remarks: [{ code: 'x', text: 'y' }] }),
    'datapath',
    ['l4', 'x', 'idle-time'],
  ],
];
for (const [what, given, engine, codes] of table) {
  t.test(`${what}: ${engine}`, async (t) => {
    const decision = decideOffload(given);
    t.equal(decision.engine, engine);
    t.strictSame(
      decision.reasons.map(({ code }) => code),
      codes,
    );
    t.ok(decision.reasons.every(({ text }) => text.length > 0));
  });
}

t.test('a thousand members have one thing to say', async (t) => {
  const members = Array.from({ length: 1000 }, (_, i) => member(null, { id: `m${i}` }));
  t.strictSame(decideOffload(input([pool(members)])).reasons, [
    {
      code: 'member-address',
      text: 'member m0 is not given by an IP address and port (and 999 more)',
    },
  ]);
});
