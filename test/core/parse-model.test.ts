// SPDX-License-Identifier: Apache-2.0
// What `explain` does not show: monitors, log formats and ids of every recorded upload against its model.
import t from 'tap';
import type { Listener, Monitor } from '../../agent/core/model/load-balancer.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { readCases, type PoolModel, type Upload } from './controller-cases.js';

const parse = ({ grammar, text }: Upload): readonly Listener[] =>
  grammar === 'haproxy' ? parseHaproxyConfig(text).listeners : [parseLvsConfig(text)];

/** `200-204,301` as single codes. */
const codes = (text: string): number[] =>
  text.split(',').flatMap((part) => {
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });

/** Later controllers say nothing of TLS-HELLO: it is a plain connection (contract 4.3.8). */
const seenType = (type: string, octavia: string): string =>
  type === 'TLS-HELLO' && octavia !== '11.0.0' ? 'TCP' : type;

const expectedMonitor = ({ health_monitor: given }: PoolModel, upload: Upload): unknown => {
  if (given?.enabled !== true) return null;
  const isLvs = upload.grammar === 'lvs';
  const common = {
    type: seenType(given.type, upload.octavia) as Monitor['type'],
    id: isLvs ? given.id : null,
    intervalSeconds: given.delay,
    timeoutSeconds: given.timeout,
    fall: given.fall_threshold,
    rise: isLvs ? 1 : given.rise_threshold,
  };
  if (given.type !== 'HTTP') return common;
  return {
    ...common,
    httpMethod: given.http_method,
    httpPath: given.url_path,
    httpVersion: given.http_version?.toFixed(1),
    ...(given.domain_name === undefined ? {} : { httpHost: given.domain_name }),
    expectedCodes: codes(given.expected_codes ?? ''),
  };
};

let monitored = 0;
for (const { name, model, uploads } of readCases()) {
  for (const upload of uploads) {
    t.test(`${name}, Octavia ${upload.octavia}, ${upload.grammar}`, async (t) => {
      for (const listener of parse(upload)) {
        t.equal(listener.loadBalancerId, model.id);
        t.equal(listener.origin, upload.grammar);
        t.equal(listener.enabled, true);
        t.equal(listener.logFormat?.includes(model.id) ?? false, upload.grammar === 'haproxy');
        for (const pool of listener.pools) {
          const of = model.pools.find(({ id }) => id === pool.id);
          t.strictSame(
            pool.monitor,
            of === undefined ? 'no such pool' : expectedMonitor(of, upload),
          );
          monitored += pool.monitor === null ? 0 : 1;
        }
      }
    });
  }
}

t.test('monitors were seen at all', async (t) => {
  t.ok(monitored > 30, `${monitored} monitored pools`);
});

t.test('the stats socket and the load balancer are known from the text alone', async (t) => {
  const text = 'global\n    stats socket /var/lib/octavia/lb9.sock mode 0666 level user\n';
  t.match(parseHaproxyConfig(text), {
    statsSocket: '/var/lib/octavia/lb9.sock',
    loadBalancerId: 'lb9',
    listeners: [],
  });
  t.match(parseHaproxyConfig('global\n    daemon\n'), { statsSocket: null, loadBalancerId: '' });
});

t.test('proxies inherit from the defaults above them', async (t) => {
  const text = [
    'defaults',
    '    mode tcp',
    '    timeout client 7s',
    '    timeout connect 8s',
    '    timeout server 2m',
    '    balance source',
    '    maxconn 9',
    'frontend l1',
    '    bind [2001:DB8::1]:80',
    '    default_backend p1',
    'backend p1',
    '    server m1 [2001:db8::2]:80 check',
    '    timeout server 1h',
    '',
  ].join('\n');
  t.match(parseHaproxyConfig(text).listeners, [
    {
      engine: 'datapath',
      vips: [{ address: '2001:db8::1', port: 80 }],
      connectionLimit: 9,
      timeouts: { clientMs: 7000, connectMs: 8000, serverMs: 3_600_000 },
      pools: [
        {
          id: 'p1',
          algorithm: 'SOURCE_IP',
          monitor: { type: 'TCP', intervalSeconds: 2, timeoutSeconds: 2, fall: 3, rise: 2 },
        },
      ],
    },
  ]);
});

t.test('values stay HTML-escaped, quotes and escapes are HAProxy’s', async (t) => {
  const text = [
    'defaults',
    '    log /dev/log local0',
    'frontend l1',
    '    bind 10.0.0.1:80 # comment',
    '    log-format "a b"\\ c\\#d &lt;&amp;&#34;',
    '',
  ].join('\n');
  const section = parseHaproxyConfig(text).sections.at(-1);
  t.strictSame(
    section?.body.map(({ words }) => words),
    [
      ['bind', '10.0.0.1:80'],
      ['log-format', 'a b c#d', '&lt;&amp;&'],
    ],
  );
  t.equal(parseHaproxyConfig(text).listeners[0]?.logFormat, 'a b c#d', 'as HAProxy reads it');
});

const monitors: readonly (readonly [string, readonly string[], string, object | null])[] = [
  ['none without a check', ['option httpchk GET /'], '', null],
  [
    'HTTPS',
    ['option httpchk GET /x HTTP/1.1'],
    ' check check-ssl verify none',
    { type: 'HTTPS', httpPath: '/x', httpVersion: '1.1' },
  ],
  ['TLS-HELLO by handshake', [], ' check check-ssl verify none', { type: 'TLS-HELLO' }],
  [
    'HTTP by HAProxy’s defaults',
    ['option httpchk'],
    ' check',
    { type: 'HTTP', httpMethod: 'OPTIONS', httpPath: '/', httpVersion: '1.0' },
  ],
  [
    'HTTP of a path',
    ['option httpchk /x'],
    ' check',
    { type: 'HTTP', httpMethod: 'OPTIONS', httpPath: '/x' },
  ],
  [
    'HTTP with a header of another kind',
    ['option httpchk GET /', 'http-check send hdr X y'],
    ' check',
    { type: 'HTTP', httpHost: undefined },
  ],
  [
    'HTTP by its text',
    ['option httpchk GET /', 'http-check expect string ok'],
    ' check',
    { type: 'HTTP', expectedCodes: undefined },
  ],
  [
    'HTTP by one code',
    ['option httpchk GET /', 'http-check expect status 204'],
    ' check',
    { type: 'HTTP', expectedCodes: [204] },
  ],
  [
    'of a fraction of a second',
    ['timeout check 250ms'],
    ' check inter 500ms',
    { intervalSeconds: 0.5, timeoutSeconds: 0.25 },
  ],
];
for (const [what, lines, options, expected] of monitors) {
  t.test(`a monitor: ${what}`, async (t) => {
    const text = [
      'frontend l1',
      '    bind 10.0.0.1:80',
      '    default_backend p1',
      'backend p1',
      ...lines.map((line) => `    ${line}`),
      `    server m1 10.1.0.1:80${options}`,
    ].join('\n');
    const [pool] = parseHaproxyConfig(text).listeners[0]?.pools ?? [];
    if (expected === null) t.equal(pool?.monitor, null);
    else t.match(pool?.monitor, expected);
  });
}
