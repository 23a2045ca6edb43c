// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { addressText } from '../../agent/core/plan/address-bytes.js';
import { unpack } from '../../agent/core/plan/encode.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import { assignNumbers, NO_NUMBERS } from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import { granularityPrefix } from '../../agent/core/plan/persistence.js';
import { buildTables, type Table, type TableOptions } from '../../agent/core/plan/tables.js';
import type { WantedState } from '../../agent/core/model/dataplane.js';
import { listener, member, networkInterface, pool, wantedState } from './plan-fixtures.js';

const limits = { listeners: 64, pools: 64, members: 64 };
const options: TableOptions = { clock: { hz: 250 }, snatSource: 'vip' };
const build = (wanted: WantedState, changes: Partial<TableOptions> = {}) =>
  buildTables(wanted, assignNumbers(NO_NUMBERS, partsOf(wanted.listeners), limits), {
    ...options,
    ...changes,
  });
const only = (table: Table): Uint8Array => [...table.values()][0] ?? new Uint8Array();
const keys = (table: Table): Uint8Array[] =>
  [...table.keys()].map((hex) => Buffer.from(hex, 'hex'));

const a = member('a', '192.0.2.1');
const b = member('b', '192.0.2.2', { weight: 2 });
const { LISTENER_LIVE, LISTENER_ACL, LISTENER_COUNT_PACKETS, LISTENER_KEEP_PORT } =
  enums.listener_flag;
const { MEMBER_PRESENT, MEMBER_PERSIST } = enums.member_flag;

t.test('a TCP listener of an HAProxy config', (t) => {
  const tables = build(wantedState([listener('web', [pool([a, b])], { connectionLimit: 7 })]));
  const [key = new Uint8Array(20)] = keys(tables.services);
  const service = unpack(structs.service_key, key);
  t.equal(addressText(service.vip), '203.0.113.10');
  t.match(service, { port: 80, protocol: 6, reserved: 0 });
  t.match(unpack(structs.service, only(tables.services)), { listener: 0, vip_ifindex: 0 });
  t.match(unpack(structs.listener, only(tables.listeners)), {
    flags: LISTENER_LIVE,
    pool: 0,
    connection_limit: 7,
    connect_stamps: 20, // 5 s at HZ=250
  });
  const first = unpack(structs.member, only(tables.members));
  t.equal(addressText(first.address), '192.0.2.1');
  t.match(first, { port: 80, flags: MEMBER_PRESENT | MEMBER_PERSIST, listener: 0, pool: 0 });
  t.strictSame([...(tables.slots.get(0) ?? [])], [3, 0, 1, 1, 0, 1, 1, 1]);
  t.equal(tables.pools.size, 0, 'a pool without persistence is all zeros');
  t.end();
});

t.test('a UDP listener of an LVS config', (t) => {
  const lvs = listener(
    'dns',
    [pool([a, b], { algorithm: 'LEAST_CONNECTIONS', memberConnectionLimit: 9 })],
    { origin: 'lvs', protocol: 'UDP' },
  );
  const tables = build(wantedState([lvs]));
  t.equal(
    unpack(structs.listener, only(tables.listeners)).flags,
    LISTENER_LIVE | LISTENER_COUNT_PACKETS | LISTENER_KEEP_PORT,
  );
  t.equal(unpack(structs.service_key, keys(tables.services)[0] ?? new Uint8Array(20)).protocol, 17);
  t.equal(unpack(structs.member, only(tables.members)).connection_limit, 9);
  t.strictSame([...(tables.slots.get(0) ?? [])], [2, 1, 0, 0, 1, 0], 'unweighted');
  t.end();
});

t.test('a listener without a pool has a service that leads nowhere', (t) => {
  const tables = build(wantedState([listener('web', [])]));
  t.equal(unpack(structs.listener, only(tables.listeners)).pool, 0xffffffff);
  t.equal(tables.services.size, 1);
  t.equal(tables.slots.size, 0);
  t.end();
});

t.test('a disabled listener has no service and is not live', (t) => {
  const tables = build(wantedState([listener('web', [pool([a])], { enabled: false })]));
  t.equal(tables.services.size, 0);
  t.match(unpack(structs.listener, only(tables.listeners)), { flags: 0 });
  t.end();
});

t.test('who may keep its persisted clients', (t) => {
  const flagsOf = (
    origin: 'haproxy' | 'lvs',
    changes: Parameters<typeof member>[2],
    down = false,
  ) =>
    unpack(
      structs.member,
      only(
        build(
          wantedState([listener('l', [pool([member('m', '192.0.2.1', changes)])], { origin })], {
            down: new Set(down ? ['pool-1:l/m'] : []),
          }),
        ).members,
      ),
    ).flags;
  t.equal(flagsOf('haproxy', { weight: 0 }), MEMBER_PRESENT | MEMBER_PERSIST, 'draining');
  t.equal(flagsOf('lvs', { weight: 0 }), MEMBER_PRESENT, 'quiescent');
  t.equal(flagsOf('haproxy', { enabled: false }), MEMBER_PRESENT);
  t.equal(flagsOf('haproxy', {}, true), MEMBER_PRESENT, 'down');
  t.end();
});

t.test('a member that is gone keeps its record without flags', (t) => {
  const before = assignNumbers(NO_NUMBERS, partsOf([listener('l', [pool([a, b])])]), limits);
  const wanted = wantedState([listener('l', [pool([b])])]);
  const numbers = assignNumbers(before, partsOf(wanted.listeners), limits);
  const records = [...buildTables(wanted, numbers, options).members].map(([key, value]) => [
    Buffer.from(key, 'hex').readUInt32LE(),
    unpack(structs.member, value).flags,
  ]);
  t.strictSame(records, [
    [0, 0],
    [1, MEMBER_PRESENT | MEMBER_PERSIST],
  ]);
  t.end();
});

const persistenceCases = [
  ['HAProxy: the whole address, no timeout', {}, { stamps: 0, prefix4: 32, prefix6: 128 }],
  [
    'LVS mask',
    { timeoutSeconds: 360, granularity: '255.255.240.0' },
    { stamps: 1407, prefix4: 20, prefix6: 128 },
  ],
  [
    'LVS prefix length',
    { timeoutSeconds: 1, granularity: '64' },
    { stamps: 4, prefix4: 32, prefix6: 64 },
  ],
] as const;
for (const [name, persistence, expected] of persistenceCases)
  t.test(`persistence, ${name}`, (t) => {
    const persistent = pool([a], { persistence: { type: 'SOURCE_IP', ...persistence } });
    const record = unpack(
      structs.pool,
      only(build(wantedState([listener('l', [persistent])])).pools),
    );
    t.match(record, {
      flags: enums.pool_flag.POOL_PERSIST,
      persist_stamps: expected.stamps,
      persist_prefix4: expected.prefix4,
      persist_prefix6: expected.prefix6,
    });
    t.end();
  });

t.test('granularity in all its spellings', (t) => {
  t.strictSame(granularityPrefix('255.255.255.255'), { prefix4: 32, prefix6: 128 });
  t.strictSame(granularityPrefix('0.0.0.0'), { prefix4: 0, prefix6: 128 });
  t.strictSame(granularityPrefix('/56'), { prefix4: 32, prefix6: 56 });
  t.strictSame(granularityPrefix('what'), { prefix4: 32, prefix6: 128 });
  t.end();
});

t.test('cookie persistence does nothing in tcp mode', (t) => {
  const cookies = pool([a], { persistence: { type: 'HTTP_COOKIE' } });
  t.equal(build(wantedState([listener('l', [cookies])])).pools.size, 0);
  t.end();
});

t.test('allowed sources become prefixes under the listener number', (t) => {
  const rule = (cidr: string | null, port = 80, protocol: 'TCP' | 'UDP' = 'TCP') => ({
    protocol,
    port,
    cidr,
  });
  const allowed = [
    rule('198.51.100.7/24'),
    rule('2001:db8::/32'),
    rule('198.51.100.9'),
    rule('2001:db8::9'),
    rule(null),
    rule('10.0.0.0/8', 81),
    rule('10.0.0.0/8', 80, 'UDP'),
  ];
  const tables = build(wantedState([listener('x', []), listener('l', [pool([a])])], { allowed }));
  const found = keys(tables.allowed)
    .map((bytes) => unpack(structs.allowed_key, bytes))
    .filter((key) => key.listener === 1)
    .map((key) => `${addressText(key.source)}/${key.prefixlen - 32}`);
  t.strictSame(found, [
    '198.51.100.0/120',
    '2001:db8::/32',
    '198.51.100.9/128',
    '2001:db8::9/128',
    '::/0',
  ]);
  t.ok(unpack(structs.listener, only(tables.listeners)).flags & LISTENER_ACL);
  t.end();
});

t.test('an empty rule set closes the listener, none at all leaves it open', (t) => {
  const flags = (allowed: WantedState['allowed']) =>
    unpack(
      structs.listener,
      only(build(wantedState([listener('l', [pool([a])])], { allowed })).listeners),
    ).flags;
  t.equal(flags([]), LISTENER_LIVE | LISTENER_ACL);
  t.equal(flags(null), LISTENER_LIVE);
  t.end();
});

t.test('0.0.0.0/0 means anyone, of either family', (t) => {
  const allowed = [{ protocol: 'TCP', port: 80, cidr: '0.0.0.0/0' }] as const;
  const [key = new Uint8Array(24)] = keys(
    build(wantedState([listener('l', [])], { allowed })).allowed,
  );
  t.equal(unpack(structs.allowed_key, key).prefixlen, 32);
  t.end();
});

const eth1 = networkInterface(3, [
  '203.0.113.10/32',
  '203.0.113.5/24',
  'fe80::1/64',
  '2001:db8::5/64',
]);
const eth2 = networkInterface(4, ['192.0.2.5/24'], { mtu: 9000 });

t.test('the VIP is the source on its own interface, unless the interface is asked for', (t) => {
  const wanted = wantedState([listener('l', [pool([a])])], { interfaces: [eth2, eth1] });
  t.equal(unpack(structs.service, only(build(wanted).services)).vip_ifindex, 3);
  const other = build(wanted, { snatSource: 'interface' });
  t.equal(unpack(structs.service, only(other.services)).vip_ifindex, 0);
  t.end();
});

t.test('interfaces carry their own addresses and MTU', (t) => {
  const { interfaces } = build(
    wantedState([listener('l', [pool([a])])], { interfaces: [eth1, eth2] }),
  );
  const records = [...interfaces].map(([key, value]) => {
    const { snat4, snat6, mtu } = unpack(structs.interface, value);
    return [Buffer.from(key, 'hex').readUInt32LE(), addressText(snat4), addressText(snat6), mtu];
  });
  t.strictSame(records, [
    [3, '203.0.113.5', '2001:db8::5', 1500],
    [4, '192.0.2.5', '::', 9000],
  ]);
  t.end();
});
