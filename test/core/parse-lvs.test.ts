// SPDX-License-Identifier: Apache-2.0
// keepalived LVS configs: every form of contract 4.5 that the recorded uploads do not hold, and refusals.
import t from 'tap';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { ConfigRejected } from '../../agent/core/parse/config-rejected.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';

const head = [
  '# Configuration for Loadbalancer lb1',
  '# Configuration for Listener l1',
  '',
  'net_namespace amphora-haproxy',
  '',
];

const group = (family: string, ...vips: string[]): string[] => [
  `virtual_server_group ${family}-group {`,
  ...vips.map((vip) => `    ${vip}`),
  '}',
  '',
];

const server = (family: string, ...lines: string[]): string[] => [
  `virtual_server group ${family}-group {`,
  '    lb_algo wrr',
  '    lb_kind NAT',
  '    protocol UDP',
  ...lines.map((line) => `    ${line}`),
  '}',
  '',
];

const member = (id: string, address: string, ...lines: string[]): string[] => [
  `# Configuration for Member ${id}`,
  `real_server ${address} {`,
  ...lines.map((line) => `    ${line}`),
  '}',
];

const pool = '# Configuration for Pool p1';
const parse = (...parts: readonly (readonly string[])[]): Listener =>
  parseLvsConfig([...parts.flat(), ''].join('\n'));
const codes = ({ reasons }: Listener): string[] => reasons.map(({ code }) => code);

t.test('a disabled listener has an id and nothing else', async (t) => {
  const listener = parse(['# Configuration for Loadbalancer lb1', '# Listener l1 is disabled', '']);
  t.match(listener, { id: 'l1', loadBalancerId: 'lb1', enabled: false, engine: 'none', vips: [] });
  t.strictSame(codes(listener), ['listener-disabled']);
});

t.test('a listener without a pool is enabled, and no address of it is known', async (t) => {
  const listener = parse(head);
  t.match(listener, { id: 'l1', enabled: true, engine: 'none', pools: [], defaultPool: null });
  t.strictSame(codes(listener), ['no-address']);
});

t.test('a disabled pool leaves a listener that refuses, and says which pool', async (t) => {
  const listener = parse(
    head,
    group('ipv4', '10.0.0.1 53'),
    server('ipv4', '# Pool p1 is disabled'),
  );
  t.match(listener, { engine: 'datapath', defaultPool: null, pools: [] });
  t.strictSame(listener.vips, [{ address: '10.0.0.1', port: 53 }]);
  t.match(listener.reasons, [
    { code: 'l4' },
    { code: 'pool-disabled', text: 'pool p1 is disabled' },
    { code: 'no-pool' },
  ]);
});

t.test('a disabled member is kept by its id, in its place', async (t) => {
  const listener = parse(
    head,
    group('ipv4', '10.0.0.1 53'),
    server(
      'ipv4',
      pool,
      ...member('m1', '10.1.0.1 53', 'weight 3'),
      '# Member m2 is disabled',
      ...member('m3', '10.1.0.3 53', 'weight 0'),
    ),
  );
  const [{ members } = { members: [] }] = listener.pools;
  t.strictSame(
    members.map(({ id, address, port, weight, enabled }) => [id, address, port, weight, enabled]),
    [
      ['m1', '10.1.0.1', 53, 3, true],
      ['m2', null, null, 0, false],
      ['m3', '10.1.0.3', 53, 0, true],
    ],
  );
});

t.test('two families make one listener with one pool', async (t) => {
  const disabled = '# Member m3 is disabled';
  const monitor = '# Configuration for HealthMonitor hm1';
  const check = (address: string) => [
    'TCP_CHECK {',
    `    connect_ip ${address}`,
    '    connect_port 53',
    '}',
  ];
  const listener = parse(
    head,
    group('ipv4', '10.0.0.1 53', '10.0.2.1 53'),
    server('ipv4', pool, monitor, ...member('m1', '10.1.0.1 53', ...check('10.1.0.1')), disabled),
    group('ipv6', '2001:DB8:0::1 53'),
    server(
      'ipv6',
      pool,
      monitor,
      ...member('m2', '2001:db8::2 53', ...check('2001:db8::2')),
      disabled,
    ),
  );
  t.strictSame(
    listener.vips.map(({ address }) => address),
    ['10.0.0.1', '10.0.2.1', '2001:db8::1'],
  );
  t.strictSame(
    listener.pools.map(({ id, monitor: one, members }) => [id, one?.id, members.map((m) => m.id)]),
    [['p1', 'hm1', ['m1', 'm3', 'm2']]],
  );
  t.equal(listener.engine, 'datapath');
  t.ok(codes(listener).includes('by-family'));
});

t.test('limits and persistence', async (t) => {
  const listener = parse(
    head,
    group('ipv4', '10.0.0.1 53'),
    server(
      'ipv4',
      'persistence_timeout 120',
      'persistence_granularity 255.255.0.0',
      pool,
      ...member('m1', '10.1.0.1 53', 'weight 1', 'uthreshold 7'),
    ),
  );
  t.match(listener.pools, [
    {
      memberConnectionLimit: 7,
      persistence: { type: 'SOURCE_IP', timeoutSeconds: 120, granularity: '255.255.0.0' },
    },
  ]);
  t.equal(listener.connectionLimit, null, 'the limit is each member’s own');
  t.ok(codes(listener).includes('limit-per-member'));
});

const algorithms = [
  ['wrr', 'ROUND_ROBIN'],
  ['lc', 'LEAST_CONNECTIONS'],
  ['sh', 'SOURCE_IP'],
] as const;
for (const [word, algorithm] of algorithms) {
  t.test(`lb_algo ${word} is ${algorithm}`, async (t) => {
    const lines = server('ipv4', pool).map((line) => line.replace('wrr', word));
    t.match(parse(head, group('ipv4', '10.0.0.1 53'), lines).pools, [{ algorithm }]);
  });
}

t.test('another lb_algo is served by round robin, and said so', async (t) => {
  for (const word of ['wlc', 'constructor']) {
    const lines = server('ipv4', pool).map((line) => line.replace('wrr', word));
    const listener = parse(head, group('ipv4', '10.0.0.1 53'), lines);
    t.match(listener, {
      pools: [{ algorithm: 'ROUND_ROBIN' }],
      reasons: [{ code: 'l4' }, { code: 'unknown-directive', text: /"lb_algo" is not honoured/ }],
    });
  }
});

const withCheck = (...lines: string[]): Listener =>
  parse(
    head,
    group('ipv4', '10.0.0.1 53'),
    server(
      'ipv4',
      'delay_loop 7',
      'delay_before_retry 7',
      'retry 4',
      pool,
      ...member('m1', '10.1.0.1 53', 'weight 1', ...lines),
    ),
  );

const monitors: readonly (readonly [string, string[], object, object])[] = [
  [
    'UDP-CONNECT',
    [
      'MISC_CHECK {',
      'misc_path "/var/lib/octavia/lvs/check/udp_check.sh 10.1.0.1 53"',
      'misc_timeout 5',
      '}',
    ],
    { type: 'UDP-CONNECT', intervalSeconds: 7, timeoutSeconds: 5, fall: 4, rise: 1 },
    { monitorAddress: null, monitorPort: null },
  ],
  [
    'SCTP, elsewhere',
    [
      'MISC_CHECK {',
      'misc_path "amphora-health-checker sctp -t 3 10.1.0.9 54"',
      'misc_timeout 4',
      '}',
    ],
    { type: 'SCTP', timeoutSeconds: 3 },
    { monitorAddress: '10.1.0.9', monitorPort: 54 },
  ],
  [
    'TCP, on another port',
    ['TCP_CHECK {', 'connect_ip 10.1.0.1', 'connect_port 80', 'connect_timeout 2', '}'],
    { type: 'TCP', timeoutSeconds: 2 },
    { monitorAddress: null, monitorPort: 80 },
  ],
  [
    'HTTP with several codes, of which any will do',
    [
      ...['HTTP_GET {', 'url {', 'path /health', 'status_code 204', '}'],
      ...['url {', 'path /health', 'status_code 200', '}'],
      ...['connect_ip 10.1.0.1', 'connect_port 53', 'connect_timeout 2', '}'],
    ],
    { type: 'HTTP', httpMethod: 'GET', httpPath: '/health', expectedCodes: [200, 204] },
    { monitorAddress: null, monitorPort: null },
  ],
  [
    'HTTPS without words',
    ['SSL_GET {', '}'],
    { type: 'HTTPS', httpPath: '/', expectedCodes: [], timeoutSeconds: 5 },
    { monitorAddress: null, monitorPort: null },
  ],
];
for (const [what, lines, monitor, target] of monitors) {
  t.test(`the monitor ${what}`, async (t) => {
    const [{ monitor: seen, members } = { monitor: null, members: [] }] = withCheck(...lines).pools;
    t.match(seen, monitor);
    t.match(members, [target]);
  });
}

t.test('a monitor that keepalived cannot express leaves members unmonitored', async (t) => {
  t.equal(withCheck().pools[0]?.monitor, null);
});

t.test('a directive that we do not know is ignored, and said so', async (t) => {
  const listener = parse(
    head,
    group('ipv4', '10.0.0.1 53'),
    server('ipv4', 'alpha', pool, ...member('m1', '10.1.0.1 53', 'inhibit_on_failure')),
  );
  t.equal(listener.engine, 'datapath');
  t.match(listener.reasons, [
    { code: 'l4' },
    { code: 'unknown-directive', text: 'line 14: "alpha" is not honoured (and 1 more)' },
  ]);
});

const vips = group('ipv4', '10.0.0.1 53'); // lines 6 to 9
const refused: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ['no listener', ['# Configuration for Loadbalancer lb1'], 1, /no comment names the listener/],
  [
    'another check program',
    [
      ...head,
      ...vips,
      ...server(
        'ipv4',
        pool,
        ...member('m', '10.1.0.1 53', 'MISC_CHECK {', 'misc_path "/bin/sh -c x"', '}'),
      ),
    ],
    18,
    /check program/,
  ],
  [
    'a check program with more arguments',
    [
      ...head,
      ...vips,
      ...server(
        'ipv4',
        pool,
        ...member(
          'm',
          '10.1.0.1 53',
          'MISC_CHECK {',
          'misc_path "/var/lib/octavia/lvs/check/udp_check.sh 10.1.0.1 53 ;x"',
          '}',
        ),
      ),
    ],
    18,
    /check program/,
  ],
  ['a notify script', [...head, ...vips, ...server('ipv4', 'notify_up "/bin/x"')], 14, /notify_up/],
  ['a quorum script', [...head, ...vips, ...server('ipv4', 'quorum_up x')], 14, /quorum_up/],
  ['an include', [...head, 'include /etc/x'], 6, /include/],
  ['a definition', [...head, '$X=1'], 6, /\$X/],
  ['a condition', [...head, '@low include x'], 6, /@low/],
  ['VRRP', [...head, 'vrrp_instance x {', '}'], 6, /vrrp_instance/],
  ['a path', [...head, 'net_namespace /x'], 6, /path/],
  ['an open block', [...head, 'virtual_server_group x {'], 6, /without its }/],
  ['a closed block', [...head, '}'], 6, /without its {/],
  ['words after a block', [...head, 'virtual_server_group x {', '} y'], 7, /after }/],
  ['a brace in a line', [...head, 'a { b'], 6, /brace/],
  ['an open quote', [...head, 'a "b'], 6, /quote/],
  ['depth', [...head, ...Array.from({ length: 9 }, () => 'a {')], 14, /too deep/],
  ['a server without a group', [...head, 'virtual_server 10.0.0.1 53 {', '}'], 6, /no group/],
  ['a group twice', [...head, ...vips, ...vips], 10, /second virtual_server_group/],
  ['a VIP twice', [...head, ...group('ipv4', '10.0.0.1 53', '10.0.0.1 53')], 8, /stands twice/],
  ['a VIP that is none', [...head, ...group('ipv4', 'x 53')], 7, /VIP is not an IP/],
  ['a VIP without a port', [...head, ...group('ipv4', '10.0.0.1')], 7, /port of the VIP/],
  [
    'another protocol',
    [...head, ...vips, ...server('ipv4').map((line) => line.replace('UDP', 'TCP'))],
    13,
    /protocol/,
  ],
  [
    'two protocols',
    [
      ...head,
      ...vips,
      ...server('ipv4'),
      ...group('ipv6', '::1 53'),
      ...server('ipv6').map((line) => line.replace('UDP', 'SCTP')),
    ],
    20,
    /two protocols/,
  ],
  [
    'a server without an id',
    [...head, ...vips, ...server('ipv4', pool, 'real_server 10.1.0.1 53 {', '}')],
    15,
    /no comment names/,
  ],
  [
    'an id without a server',
    [...head, ...vips, ...server('ipv4', pool, '# Configuration for Member m')],
    15,
    /no real_server/,
  ],
  [
    'an id with a slash',
    [...head, ...vips, ...server('ipv4', pool, '# Member ../x is disabled')],
    15,
    /name/,
  ],
  [
    'a member twice',
    [
      ...head,
      ...vips,
      ...server('ipv4', pool, ...member('m', '10.1.0.1 53'), ...member('m', '10.1.0.2 53')),
    ],
    19,
    /stands twice/,
  ],
  [
    'a weight too high',
    [...head, ...vips, ...server('ipv4', pool, ...member('m', '10.1.0.1 53', 'weight 300'))],
    17,
    /weight of member m/,
  ],
  [
    'a port too high',
    [...head, ...vips, ...server('ipv4', pool, ...member('m', '10.1.0.1 99999'))],
    16,
    /port of member m/,
  ],
  [
    'a limit below 0',
    [...head, ...vips, ...server('ipv4', pool, ...member('m', '10.1.0.1 53', 'uthreshold -1'))],
    17,
    /uthreshold/,
  ],
  [
    'a mask that is none',
    [
      ...head,
      ...vips,
      ...server('ipv4', 'persistence_timeout 1', 'persistence_granularity x', pool),
    ],
    15,
    /granularity/,
  ],
  [
    'no patience',
    [...head, ...vips, ...server('ipv4', 'persistence_timeout 0', pool)],
    14,
    /persistence_timeout/,
  ],
  ['a control character', [...head, 'a\u0000'], 6, /control character/],
];
for (const [what, lines, line, reason] of refused) {
  t.test(`refuses ${what}`, async (t) => {
    try {
      parse(lines);
      t.fail('is refused');
    } catch (error) {
      t.type(error, ConfigRejected);
      t.match(error, { line, reason });
    }
  });
}
