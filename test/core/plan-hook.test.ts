// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { planHook } from '../../agent/core/plan/hook.js';

const cases = [
  [
    ['auto', 'virtio_net', 1500],
    {
      hook: 'xdp',
      frags: false,
      fallback: true,
      reason: /virtio_net has native XDP; MTU 1500 fits/,
    },
  ],
  [
    ['auto', 'virtio_net', 9000],
    { hook: 'xdp', frags: true, fallback: true, reason: /MTU 9000 needs/ },
  ],
  [
    ['auto', 'mlx5_core', 3498],
    { hook: 'xdp', frags: false, fallback: true, reason: /mlx5_core: native XDP is tried/ },
  ],
  [['auto', '', 3499], { hook: 'xdp', frags: true, fallback: true, reason: /unknown driver/ }],
  [['auto', 'veth', 1500], { hook: 'tc', fallback: false, reason: /half-made checksums/ }],
  [['auto', 'dummy', 1500], { hook: 'tc', fallback: false, reason: /dummy has no native XDP/ }],
  [['xdp', 'dummy', 1500], { hook: 'xdp', fallback: false, reason: /xdp was asked for/ }],
  [['tc', 'veth', 1500], { hook: 'tc', fallback: false, reason: /tc was asked for/ }],
] as const;
for (const [[hook, driver, mtu], expected] of cases)
  t.test(`${hook} on ${driver || 'an unknown driver'} with MTU ${mtu}`, (t) => {
    t.match(planHook({ hook, driver, mtu }), expected);
    t.end();
  });
