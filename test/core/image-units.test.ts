// SPDX-License-Identifier: Apache-2.0
// Units that the image ships are those that the agent would write, so that it never has to.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { NETNS_UNIT, renderNetnsUnit } from '../../agent/core/units/netns-unit.js';

const units = join(
  import.meta.dirname,
  '../../elements/amphora-agent/static/usr/lib/systemd/system',
);

t.test('the unit of the namespace', (t) => {
  const text = renderNetnsUnit({
    namespace: 'amphora-haproxy',
    prepare: [
      '/usr/bin/node',
      '/usr/local/lib/amphora-xdp/dist/agent/bin/amphora-interface.js',
      ...['--config-file', '/etc/octavia/amphora-agent.conf', 'prepare'],
    ],
    pluggedInterfacesFile: '/var/lib/octavia/plugged_interfaces',
  });
  t.equal(readFileSync(join(units, NETNS_UNIT), 'utf8'), text);
  t.end();
});
