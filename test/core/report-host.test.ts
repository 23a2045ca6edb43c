// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { hostWarnings, renderHost, type HostFacts } from '../../agent/core/report/host.js';

const healthy: HostFacts = {
  hostname: 'amphora-1',
  system: 'Debian GNU/Linux 13 on KVM',
  kernel: '6.12.48',
  uptimeSeconds: 93784,
  cpu: { model: 'EPYC', count: 2, load: 0.034 },
  memory: { total: 1 << 30, available: 740 << 20 },
  filesystems: [{ mount: '/', size: 2 * 1024 ** 3, available: 1.25 * 1024 ** 3 }],
  processes: [
    { program: 'amphora-agent', count: 1, cpu: 0.001, memory: 0.058 },
    { program: 'haproxy', count: 0, cpu: 0, memory: 0 },
  ],
};

t.test('a healthy machine in lines, without a warning', (t) => {
  t.strictSame(renderHost(healthy), [
    'amphora-1: Debian GNU/Linux 13 on KVM, Linux 6.12.48, up 1 d 2 h',
    'cpu     2 x EPYC, 3.4 % busy',
    'memory  740 MiB of 1.0 GiB available',
    'disk    1.3 GiB of 2.0 GiB free on /',
    'process amphora-agent: 1, 0.1 % of the CPUs, 5.8 % of the memory',
    'process haproxy: none',
  ]);
  t.strictSame(hostWarnings(healthy), []);
  t.end();
});

const shortages: readonly (readonly [string, Partial<HostFacts>, string])[] = [
  [
    'disk',
    { filesystems: [{ mount: '/var', size: 1000 << 20, available: 99 << 20 }] },
    '/var is nearly full: 99 MiB left',
  ],
  [
    'an empty disk entirely',
    { filesystems: [{ mount: '/', size: 4096, available: 0 }] },
    '/ is nearly full: 0 B left',
  ],
  [
    'memory',
    { memory: { total: 1 << 30, available: 9.5 * 1024 ** 2 } },
    'memory is nearly used up: 9.5 MiB left',
  ],
  ['CPU', { cpu: { ...healthy.cpu, load: 0.97 } }, 'all CPUs are busy: 97.0 %'],
  [
    'the agent',
    { processes: [{ program: 'amphora-agent', count: 0, cpu: 0, memory: 0 }] },
    'no amphora-agent runs',
  ],
];
for (const [name, change, warning] of shortages) {
  t.test(`running short of ${name} is a warning`, (t) => {
    const facts = { ...healthy, ...change };
    t.strictSame(hostWarnings(facts), [warning]);
    t.equal(renderHost(facts).at(-1), `warning: ${warning}`);
    t.end();
  });
}

t.test('a machine just booted counts hours and minutes', (t) => {
  t.match(renderHost({ ...healthy, uptimeSeconds: 119 })[0], /up 0 h 1 min$/);
  t.end();
});

t.test('a pseudo file system without a size is no shortage', (t) => {
  const facts = { ...healthy, filesystems: [{ mount: '/', size: 0, available: 0 }] };
  t.strictSame(hostWarnings(facts), []);
  t.end();
});
