// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import { activatedSocket } from '../../agent/shell/activation.js';
import { awaitStart } from '../../agent/shell/await-start.js';
import { serviceManager } from '../../agent/shell/service-manager.js';

const log = pino({ enabled: false });

const makeManager = (environment: NodeJS.ProcessEnv) => {
  const sent: string[] = [];
  const manager = serviceManager(environment, log, (path, state) => {
    sent.push(`${path} ${state}`);
    return Promise.resolve(null);
  });
  return { manager, sent };
};

t.test('without a manager nothing is sent', (t) => {
  const { manager, sent } = makeManager({});
  manager.ready('serving');
  manager.stopping();
  t.strictSame(sent, []);
  t.end();
});

t.test(
  'the watchdog is fed from the first ready on, and children hear nothing of it',
  async (t) => {
    const environment = {
      NOTIFY_SOCKET: '/n',
      WATCHDOG_USEC: '30000',
      WATCHDOG_PID: '1',
      PATH: '/',
    };
    const { manager, sent } = makeManager(environment);
    t.strictSame(environment, { PATH: '/' });
    await sleep(50);
    t.strictSame(sent, [], 'an agent that never came up is not kept alive');
    manager.ready('waiting: no\nconfig');
    manager.ready('serving');
    while (sent.length < 4) await sleep(10);
    manager.stopping();
    t.strictSame(sent.slice(0, 2), [
      '/n READY=1\nSTATUS=waiting: no config',
      '/n READY=1\nSTATUS=serving',
    ]);
    t.ok(sent.includes('/n WATCHDOG=1'));
    t.equal(sent.at(-1), '/n STOPPING=1');
  },
);

t.test('what is missing is said once, and again when it changes', async (t) => {
  const answers = ['no file', 'no file', 'no key'];
  const said: string[] = [];
  const value = await awaitStart(
    () => {
      const answer = answers.shift();
      if (answer !== undefined) throw new Error(answer);
      return 'config';
    },
    log,
    (missing) => said.push(missing),
  );
  t.equal(value, 'config');
  t.strictSame(said, ['no file', 'no key']);
});

t.test('a socket that is handed over is for the process it names', (t) => {
  t.equal(activatedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7), 3);
  t.equal(activatedSocket({ LISTEN_PID: '8', LISTEN_FDS: '1' }, 7), null);
  t.equal(activatedSocket({ LISTEN_PID: '7', LISTEN_FDS: '0' }, 7), null);
  t.equal(activatedSocket({}, 7), null);
  t.end();
});
