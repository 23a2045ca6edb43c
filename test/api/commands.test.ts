// SPDX-License-Identifier: Apache-2.0
// The commands that systemd, HAProxy, keepalived and people call, with arguments that nobody should give: each says
// how it is used and ends with status 2, and no shell ever reads a word of them.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { inCheckout } from '../support/paths.js';
import { installChecks, installLvsCheck } from '../../agent/shell/checks.js';

interface Ended {
  readonly status: number;
  readonly said: string;
}

interface Call {
  readonly words: readonly string[];
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs to the end, with noise on the standard input. */
const call = (program: string, { words, directory, environment }: Call): Promise<Ended> =>
  new Promise((resolve) => {
    const options = { cwd: directory, timeout: 120_000, env: { ...process.env, ...environment } };
    const child = execFile(program, words, options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, said: stdout + stderr });
    });
    child.stdin?.on('error', () => undefined); // it need not read
    child.stdin?.end('$(touch stdin)\n; touch stdin\n\0\xff');
  });

const LONG = 'x'.repeat(100_000);
/** Words that a shell would act on, or a careless parser. A file `owned` would tell. */
const HOSTILE = [
  '$(touch owned)',
  '`touch owned`',
  '; touch owned',
  '& touch owned &',
  '| touch owned',
  "'; touch owned; '",
  'a\ntouch owned\n',
  '--no-such-option',
  '-e/bin/sh',
  '../../../../etc/passwd',
  'größer als ☃ 𝟠𝟘',
  LONG,
  '',
];

const node = (file: string, words: readonly string[]): [string, string[]] => [
  process.execPath,
  [inCheckout(`dist/agent/bin/${file}`), ...words],
];
const compiled = (name: string, words: readonly string[]): [string, string[]] => [
  inCheckout(`build/commands/${name}`),
  [...words],
];

/** Wrong usage of each, beside the hostile words in each place where one may stand. */
const USAGES: readonly (readonly [
  name: string,
  wrong: readonly (readonly [string, string[]])[],
])[] = [
  [
    'amphora-config-drive',
    [
      node('amphora-config-drive.js', []),
      node('amphora-config-drive.js', ['/a', '/b']),
      node('amphora-config-drive.js', ['relative']),
      node('amphora-config-drive.js', ['--', '-o/dev/sda']),
      node('amphora-config-drive.js', ['--root', '$(touch owned)', '/dev/null']),
      node('amphora-config-drive.js', ['--mount', '/dev/sr0']),
    ],
  ],
  [
    'amphora-interface',
    [
      node('amphora-interface.js', []),
      node('amphora-interface.js', ['up']),
      node('amphora-interface.js', ['sideways', 'eth1']),
      node('amphora-interface.js', ['up', 'eth1', 'eth2']),
      node('amphora-interface.js', ['up', '../../etc/passwd']),
      node('amphora-interface.js', ['down', 'eth1; touch owned']),
      node('amphora-interface.js', ['up', LONG]),
      node('amphora-interface.js', ['prepare', 'eth1']),
    ],
  ],
  [
    'prometheus-proxy',
    [
      node('prometheus-proxy.js', ['127.0.0.1']),
      node('prometheus-proxy.js', ['--port', '80']),
      node('prometheus-proxy.js', ['--idle-seconds', '$(touch owned)']),
      node('prometheus-proxy.js', ['--idle-seconds=-1']),
      node('prometheus-proxy.js', ['--socket']),
    ],
  ],
  [
    'amphora-agent',
    [
      node('amphora-agent.js', ['; touch owned']),
      node('amphora-agent.js', ['--config', '/x']),
      node('amphora-agent.js', ['--config-file']),
    ],
  ],
  [
    'amphoractl',
    [
      node('amphoractl.js', []),
      node('amphoractl.js', ['`touch owned`']),
      node('amphoractl.js', ['flows', '--limit', '$(touch owned)']),
      node('amphoractl.js', ['status', '-e/bin/sh']),
    ],
  ],
  [
    'amphora-health-checker',
    [
      compiled('amphora-health-checker', []),
      compiled('amphora-health-checker', ['tcp', '127.0.0.1', '80']),
      compiled('amphora-health-checker', ['sctp', '127.0.0.1']),
      compiled('amphora-health-checker', ['sctp', '127.0.0.1', '80', '81']),
      compiled('amphora-health-checker', ['sctp', '-t', 'nan', '127.0.0.1', '80']),
      compiled('amphora-health-checker', ['sctp', '-t', '-1', '127.0.0.1', '80']),
      ...['', '0', '-1', '65536', ' 80', '80 ', '0x50', '99999999999999999999'].map((port) =>
        compiled('amphora-health-checker', ['sctp', '--', '127.0.0.1', port]),
      ),
      ...HOSTILE.map((word) => compiled('amphora-health-checker', ['sctp', '--', word, '80'])),
      ...HOSTILE.map((word) => compiled('amphora-health-checker', ['sctp', '--', '::1', word])),
    ],
  ],
  ['amphora-datapath-check', HOSTILE.map((word) => compiled('amphora-datapath-check', [word]))],
  [
    'haproxy-vrrp-check',
    [compiled('haproxy-vrrp-check', ['--help']), compiled('haproxy-vrrp-check', ['-e', 'x'])],
  ],
];

for (const [name, wrong] of USAGES) {
  t.test(`${name} refuses wrong usage with status 2 and says how`, async (t) => {
    const directory = t.testdir();
    for (const [program, words] of wrong) {
      const shown = words
        .slice(name.startsWith('amphora-') ? -3 : -2)
        .join(' ')
        .slice(0, 60);
      const { status, said } = await call(program, { words, directory });
      t.equal(status, 2, `status of ${JSON.stringify(shown)}`);
      t.match(said, /usage|Usage|amphora-agent \[|Try: |is not an address/, JSON.stringify(shown));
      t.notMatch(said, /\n {4}at /, 'no stack');
    }
    t.strictSame(readdirSync(directory), [], 'nobody acted on a word');
  });
}

t.test(
  'haproxy-vrrp-check takes a socket that cannot be for one that does not answer',
  async (t) => {
    const directory = t.testdir();
    for (const word of HOSTILE.filter((one) => !one.startsWith('-'))) {
      const [program, words] = compiled('haproxy-vrrp-check', [word]);
      t.equal(
        (await call(program, { words, directory })).status,
        1,
        JSON.stringify(word.slice(0, 40)),
      );
    }
    t.strictSame(readdirSync(directory), []);
  },
);

t.test(
  'the checks that HAProxy and keepalived call run nothing that an address says',
  async (t) => {
    const directory = t.testdir({ empty: {} });
    const empty = join(directory, 'empty');
    const { commands } = await installChecks({
      directory: join(directory, 'checks'),
      pingWrapper: join(directory, 'ping-wrapper.sh'),
      lvsCheckDirectory: join(directory, 'lvs'),
    });
    await installLvsCheck({
      directory: '',
      pingWrapper: '',
      lvsCheckDirectory: join(directory, 'lvs'),
    });
    const lvs = join(directory, 'lvs/udp_check.sh');
    await chmod(lvs, 0o700);
    for (const program of [commands.udp, commands.sctp, lvs])
      for (const words of [[], ['one'], ['1', '2', '3', '4', '5']])
        t.equal(
          (await call(program, { words, directory: empty })).status,
          2,
          `${words.length} words`,
        );
    for (const word of HOSTILE) {
      const shown = JSON.stringify(word.slice(0, 40));
      const environment = { HAPROXY_SERVER_ADDR: word };
      const calls: readonly (readonly [string, string[]])[] = [
        [commands.udp, ['NOT_USED', 'NOT_USED', word, '53']],
        [commands.udp, ['NOT_USED', 'NOT_USED', '127.0.0.1', word]],
        [commands.sctp, ['NOT_USED', 'NOT_USED', word, '53']],
        [lvs, [word, '53']],
        [lvs, ['127.0.0.1', word]],
        [commands.ping, []],
      ];
      for (const [program, words] of calls) {
        const { status } = await call(program, {
          words,
          directory: empty,
          environment: word === LONG ? {} : environment,
        });
        t.not(status, 0, `${program.slice(directory.length)} with ${shown}`);
      }
    }
    t.strictSame(readdirSync(empty), [], 'nobody acted on a word');
    t.notOk(existsSync('/tmp/owned'));
  },
);

t.test('a config drive and a config file that are none end with a message', async (t) => {
  const directory = t.testdir();
  const file = join(directory, 'agent.conf');
  await writeFile(file, '$(touch owned)\n\0\xff[DEFAULT');
  const calls = [
    [1, node('amphora-config-drive.js', [join(directory, 'absent')])],
    [1, node('amphora-config-drive.js', ['--root', directory, directory])],
    [2, node('amphora-interface.js', ['--config-file', join(directory, 'absent'), 'up', 'eth1'])],
    [2, node('amphora-interface.js', ['--config-file', file, 'up', 'eth1'])],
  ] as const;
  for (const [wanted, [program, words]] of calls) {
    const { status, said } = await call(program, { words, directory });
    t.equal(status, wanted, said);
    t.match(said, /^Error: .+/);
    t.notMatch(said, /\n {4}at /, 'no stack');
  }
  t.strictSame(readdirSync(directory), ['agent.conf']);
});
