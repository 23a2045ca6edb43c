// SPDX-License-Identifier: Apache-2.0
// What an operator finds who logs in to an amphora, and what reaches the log targets.
import t from 'tap';
import { LogTargets } from '../support/image/log-targets.js';
import { makeImageBed } from '../support/image/image-bed.js';
import { meanwhile, NOTHING, startHttpMembers, untilHttp } from '../support/image/serving.js';
import {
  listenerId,
  LOAD_BALANCER,
  memberId,
  type ListenerSpec,
  type MemberSpec,
} from '../support/load-balancer-config.js';
import { CLIENT, VIP } from '../support/topology.js';
import { Flows } from '../support/traffic.js';

const members: readonly MemberSpec[] = [{ member: 'm1' }, { member: 'm2' }];
const tcp: ListenerSpec = { fixture: 'a01-tcp', port: 8080, members };
const http: ListenerSpec = { fixture: 'a16-http', port: 8090, members };
const udp: ListenerSpec = { fixture: 'a36-udp', port: 5300, members };
const PATIENCE_MS = 300_000;

t.test('an operator logs in', async (t) => {
  const bed = await makeImageBed(t, { hook: 'auto', ports: [tcp.port, udp.port] });
  const { world, vm } = bed;
  const sh = (script: string): Promise<string> => vm.shell.run(script);
  const targets = await LogTargets.start(world.management);
  t.teardown(() => targets.stop());
  startHttpMembers(t, world, http.port);
  await bed.push(tcp, http);
  await bed.pushLvs(udp);
  await untilHttp(world.client, http.port, PATIENCE_MS);
  const flows = new Flows(world.client, VIP.v4, tcp.port);
  t.teardown(() => flows.stop());
  t.match(await flows.open(4, { timeoutMs: 60_000 }), { members: { m1: 2, m2: 2 } });

  t.test('amphoractl answers', async (t) => {
    const found = await meanwhile(flows, async () => {
      const status = await sh('amphoractl status');
      const line = (port: number, protocol: string, engine: string): RegExp =>
        new RegExp(
          `listener ${listenerId(port)} +${protocol} ${VIP.v4} ${port}\n +engine ${engine}`,
        );
      t.match(status, line(tcp.port, 'TCP', 'datapath, 4 open'));
      t.match(status, line(http.port, 'HTTP', 'haproxy'));
      t.match(status, line(udp.port, 'UDP', 'datapath'));
      t.match(status, /eth1 +xdp/);
      const files = `/var/lib/octavia/${LOAD_BALANCER}/haproxy.cfg /var/lib/octavia/lvs/*.conf`;
      const explained = await sh(`amphoractl explain ${files}`);
      for (const { port } of [tcp, http, udp]) t.match(explained, listenerId(port));
      const open = await sh(`amphoractl flows --listener ${listenerId(tcp.port)} --json`);
      t.equal(open.trim().split('\n').length, 4, open);
      t.match(open, CLIENT.v4);
      const stats = await sh('amphoractl stats');
      t.match(stats, new RegExp(`${memberId(tcp.port, 'm1')} +2 +2 `));
      t.match(await sh('amphoractl logs'), '/run/rsyslog/octavia/log');
      t.match(JSON.parse(await sh('amphoractl host --json')), { warnings: [] });
    });
    t.strictSame(found, NOTHING);
  });

  t.test('flows reach the tenant’s log target, and nothing else does', async (t) => {
    await flows.close();
    const line = await targets.find('tenant', new RegExp(listenerId(tcp.port)), PATIENCE_MS);
    t.match(
      line,
      new RegExp(`^<134>.* haproxy\\[\\d+\\]: \\S+ \\S+ ${listenerId(tcp.port)} ${CLIENT.v4} `),
    );
    await targets.find('tenant', new RegExp(listenerId(http.port)), PATIENCE_MS);
    for (const text of targets.heard.tenant) t.match(text, /^<134>/);
  });

  t.test('the agent’s words reach the operator’s log target and its own file', async (t) => {
    const said = await targets.find('admin', /amphora-agent\S*: .*tables applied/, PATIENCE_MS);
    t.match(said, /^<142>/, 'local1.info');
    t.match(await sh('cat /var/log/amphora-agent.log'), 'tables applied');
    t.match(await sh('journalctl -b --no-pager -o cat -u amphora-agent'), 'agent ready');
    t.notMatch(targets.heard.admin.join('\n'), 'PRIVATE KEY');
    t.notMatch(await sh('cat /var/log/amphora-agent.log'), /PRIVATE KEY|insecure-test-key/);
  });

  t.test('logs are rotated, and writing goes on', async (t) => {
    t.match(await sh('cat /var/log/haproxy.log'), listenerId(http.port));
    await sh('logrotate --force /etc/logrotate.d/amphora && ls /var/log/haproxy.log.1*');
    await flows.open(2, { timeoutMs: 60_000 });
    await flows.close();
    await sh(
      `for i in $(seq 60); do grep -q ${listenerId(tcp.port)} /var/log/haproxy.log && exit; sleep 1; done; exit 1`,
    );
  });

  t.test('the image holds what a controller and its configs count on', async (t) => {
    const commands = [
      ...['amphora-agent', 'amphora-interface', 'amphora-health-checker', 'haproxy-vrrp-check'],
      ...['prometheus-proxy', 'amphoractl'],
    ];
    for (const name of commands) {
      t.equal((await sh(`command -v ${name}`)).trim(), `/usr/local/bin/${name}`);
    }
    await sh('test -x /var/lib/octavia/ping-wrapper.sh && test -S /run/rsyslog/octavia/log');
    const disabled = await sh('systemctl is-enabled haproxy keepalived ipvsadm; true');
    t.notMatch(disabled, 'enabled\n', 'nothing of Debian’s own starts');
    const inside = 'nsenter --net=/run/netns/amphora-haproxy sysctl -n';
    for (const [name, value] of [
      ['net.ipv4.ip_nonlocal_bind', '1'],
      ['net.ipv6.ip_nonlocal_bind', '1'],
      ['net.core.somaxconn', '65534'],
      ['net.ipv4.tcp_fin_timeout', '5'],
    ] as const) {
      t.equal((await sh(`${inside} ${name}`)).trim(), value, name);
    }
    t.match(await sh('findmnt -no FSTYPE,OPTIONS /var/lib/octavia/certs'), /^tmpfs .*noswap/);
  });

  t.test('the agent is confined as documented', async (t) => {
    const security = await sh('systemd-analyze security --no-pager amphora-agent | tail -n 1');
    t.match(security, /: 4\.\d /);
    t.comment(security.trim());
  });

  t.test('nothing has failed', async (t) => {
    t.equal(await sh('systemctl --failed --plain --no-legend'), '');
  });
});
