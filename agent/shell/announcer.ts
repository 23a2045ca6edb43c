// SPDX-License-Identifier: Apache-2.0
// Tells neighbours where addresses live now, without touching the interface (contract 5.7, P33).
import type { FastifyBaseLogger } from 'fastify';
import { parseIpAddress } from '../core/model/address.js';
import type { IpAddress } from '../core/model/load-balancer.js';
import { announcementFrame } from '../core/network/announcement.js';
import { addon } from '../../native/index.js';
import { type Link, readLinks } from './ip.js';

export interface AnnouncerOptions {
  readonly netns: string;
  readonly log: FastifyBaseLogger;
}

/** Gratuitous ARP and unsolicited neighbour advertisements. */
export class Announcer {
  readonly #options: AnnouncerOptions;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** One frame for each address that an interface of the namespace has. Failures do not matter. */
  async announce(addresses: Iterable<IpAddress>): Promise<void> {
    const { netns, log } = this.#options;
    const wanted = new Set(addresses);
    if (wanted.size === 0) return;
    try {
      for (const link of await readLinks(netns)) {
        const own = addressesOf(link).filter((address) => wanted.has(address));
        if (own.length === 0 || !link.isUp || link.type !== 'ether') continue;
        const frames = own.map((address) => announcementFrame(address, link.mac));
        addon.sendFrames({ netns, ifindex: link.ifindex, frames });
        log.debug({ interface: link.name, addresses: own }, 'addresses announced');
      }
    } catch (error) {
      log.warn({ err: error }, 'addresses not announced');
    }
  }
}

const addressesOf = ({ addresses }: Link): IpAddress[] =>
  addresses.flatMap(({ local }) => parseIpAddress(local) ?? []);
