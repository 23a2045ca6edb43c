// SPDX-License-Identifier: Apache-2.0
// Does it serve, and does it go on? Asked as a client would, with patience for an emulated amphora that may be booting.
import type { Namespace } from '../netns.js';
import { ended, until } from '../run.js';
import { VIP } from '../topology.js';
import { datagrams, Flows } from '../traffic.js';
import type { World } from '../world.js';
import type { Owner } from './image-bed.js';

/** HTTP on m1 and m2: the answer is the member's name and the client's address as HAProxy names it, or `undefined`. */
const HTTP_SERVER = `
  require('node:http').createServer((request, response) => {
    response.end(process.argv[1] + ' ' + request.headers['x-forwarded-for']);
  }).listen(Number(process.argv[2]), '::')`;

export const startHttpMembers = (t: Owner, world: World, port: number): void => {
  for (const name of ['m1', 'm2'] as const) {
    const args = ['--pdeathsig', 'KILL', process.execPath, '-e', HTTP_SERVER, name, String(port)];
    const server = world.members[name].spawn('setpriv', args, { stdio: 'ignore' });
    t.teardown(async () => {
      server.kill();
      await ended(server);
    });
  }
};

/** Until both members have answered through the VIP. */
export const untilHttp = async (
  client: Namespace,
  port: number,
  timeoutMs: number,
): Promise<void> => {
  const url = `http://${VIP.v4}:${port}/`;
  const heard = new Set<string>();
  await until(
    `HTTP at ${url}`,
    async () => {
      heard.add(await client.exec('curl', '-sf', '--max-time', '60', url).catch(() => ''));
      return heard.has('m1 undefined') && heard.has('m2 undefined');
    },
    timeoutMs,
  );
};

/** Until a handful of new connections is spread evenly over m1 and m2. */
export const untilTcp = async (
  client: Namespace,
  port: number,
  timeoutMs: number,
): Promise<void> => {
  await until(
    `TCP at port ${port}`,
    async () => {
      const flows = new Flows(client, VIP.v4, port);
      const { members } = await flows.open(4, { timeoutMs: 60_000 });
      await flows.stop();
      return members['m1'] === 2 && members['m2'] === 2;
    },
    timeoutMs,
  );
};

/** Until each datagram of a handful is answered by the right server. */
export const untilUdp = async (
  client: Namespace,
  port: number,
  timeoutMs: number,
): Promise<void> => {
  const spec = { address: VIP.v4, port, sockets: 4, rounds: 2, size: 64, pauseMs: 500 };
  await until(
    `UDP at port ${port}`,
    async () => (await datagrams(client, spec)).right === spec.sockets * spec.rounds,
    timeoutMs,
  );
};

/** What became of the tokens of open connections. */
export interface Lost {
  readonly wrong: number;
  readonly lost: number;
  readonly closed: number;
}
export const NOTHING: Lost = { wrong: 0, lost: 0, closed: 0 };

/** Each connection sends a token and hears it again, every two seconds, while it happens and a little longer. */
export const meanwhile = async (flows: Flows, happening: () => Promise<unknown>): Promise<Lost> => {
  const state = { isOver: false };
  const end = happening().finally(() => (state.isOver = true));
  const sum = { ...NOTHING };
  for (let wasOver = false; !wasOver;) {
    wasOver = state.isOver;
    const { wrong, lost, closed } = await flows.check(3, 2000);
    sum.wrong += wrong;
    sum.lost += lost;
    sum.closed += closed;
  }
  await end;
  return sum;
};
