// SPDX-License-Identifier: Apache-2.0
// Connections that must not be made: over the limit, from a source that is not allowed, too many at once.
import t from 'tap';
import { makeBed, settle } from '../support/bed.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { CLIENT, VIP } from '../support/topology.js';
import { datagrams, Flows } from '../support/traffic.js';

const limited: ListenerSpec = {
  fixture: 'a14-connection-limit',
  port: 8001,
  members: [{ member: 'm1' }, { member: 'm2' }],
  connectionLimit: 5,
};
const open: ListenerSpec = { ...limited, fixture: 'a01-tcp', port: 8002, connectionLimit: 50_000 };
const limited6: ListenerSpec = { ...limited, port: 8003, vips: [VIP.v6] };
const open6: ListenerSpec = { ...open, port: 8004, vips: [VIP.v6] };
const udp: ListenerSpec = { ...open, fixture: 'a36-udp', port: 5301 };

t.test('connections that must not be', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002, 8003, 8004, 5301] });
  const { client } = bed.world;
  await bed.push(limited, open, limited6, open6);
  await bed.pushUdp(udp);

  for (const [family, vip, port] of [
    ['IPv4', VIP.v4, 8001],
    ['IPv6', VIP.v6, 8003],
  ] as const) {
    t.test(`the connection limit holds, and a close makes room, over ${family}`, async (t) => {
      const flows = new Flows(client, vip, port);
      t.equal((await flows.open(5)).opened, 5);
      t.equal((await flows.open(4, { parallel: 4, timeoutMs: 1500 })).opened, 0);
      t.match(await flows.check(), { right: 5, lost: 0, closed: 0 });
      t.equal(await flows.close('all', 2), 2);
      await settle();
      t.equal((await flows.open(2)).opened, 2);
      t.equal((await flows.open(1, { timeoutMs: 1500 })).opened, 0);
      await flows.stop();
    });
  }

  t.test('sources outside the rules are refused', async (t) => {
    const from = async (first: string, port: number) => {
      const flows = new Flows(client, first.includes(':') ? VIP.v6 : VIP.v4, port);
      await flows.from({ first, count: 1 });
      const { opened } = await flows.open(2, { parallel: 2, timeoutMs: 1200 });
      await flows.stop();
      return opened;
    };
    const kept = new Flows(client, VIP.v4, 8002);
    t.equal((await kept.open(3)).opened, 3, 'before the rules');
    await bed.controller.putRules([
      { protocol: 'TCP', cidr: `${CLIENT.v4}/32`, port: 8002 },
      { protocol: 'TCP', cidr: '198.18.5.0/24', port: 8002 },
      { protocol: 'UDP', cidr: '198.18.5.0/24', port: 5301 },
      { protocol: 'TCP', cidr: '2001:db8:c1::5:0/112', port: 8004 },
    ]);
    t.equal(await from(CLIENT.v4, 8002), 2, 'allowed address');
    t.equal(await from('198.18.5.7', 8002), 2, 'allowed prefix');
    t.equal(await from('198.18.6.7', 8002), 0, 'other source');
    t.equal(await from('198.18.5.7', 8001), 0, 'port without a rule');
    t.equal(await from('2001:db8:c1::5:7', 8004), 2, 'allowed IPv6 prefix');
    t.equal(await from('2001:db8:c1::6:7', 8004), 0, 'other IPv6 source');
    const ask = (first: string) =>
      datagrams(client, {
        ...{ address: VIP.v4, port: 5301, sockets: 1, rounds: 2, size: 50, pauseMs: 50 },
        sources: { first, count: 1 },
      });
    t.match(await ask('198.18.5.7'), { right: 2, lost: 0 });
    t.match(await ask('198.18.6.7'), { right: 0, lost: 2 });
    await bed.controller.putRules([{ protocol: 'TCP', cidr: null, port: 8002 }]);
    t.equal(await from('198.18.6.7', 8002), 2, 'no prefix means anyone');
    t.match(await kept.check(), { right: 3, lost: 0, closed: 0 }, 'open connections stay');
    await kept.stop();
  });
});
