// SPDX-License-Identifier: Apache-2.0
// What a change of the listeners in force means beside the tables.
import type { IpAddress, Listener } from '../model/load-balancer.js';

/**
 * Listeners that leave the datapath for HAProxy, as they were, unless another one takes their place.
 * `before` and `after`: the datapath's; `all`: every listener in force after the change.
 */
export const movingListeners = (
  before: readonly Listener[],
  after: readonly Listener[],
  all: readonly Listener[],
): Listener[] => {
  const places = new Set(after.flatMap(({ vips }) => vips.map(placeOf)));
  const proxied = new Set(all.filter(({ engine }) => engine === 'haproxy').map(({ id }) => id));
  return before.filter(
    ({ id, vips }) => proxied.has(id) && !vips.some((vip) => places.has(placeOf(vip))),
  );
};

/** Addresses that packets are sent to. */
export const memberAddresses = (listeners: readonly Listener[]): Set<IpAddress> =>
  new Set(
    listeners
      .flatMap(({ pools }) => pools.flatMap(({ members }) => members))
      .flatMap(({ address, enabled }) => (address !== null && enabled ? [address] : [])),
  );

const placeOf = ({ address, port }: Listener['vips'][number]): string => `${address} ${port}`;
