// SPDX-License-Identifier: Apache-2.0
// A new program takes the place of the old one under traffic: each packet meets one of the two.
import t from 'tap';
import { addon } from '../../native/index.js';
import type { Namespace } from '../support/netns.js';
import { cabledPair, compile, sendUdp, words64 } from './support.js';

const path = await compile(t, 'hooks');

/** Packets that the program on b0 could not have seen: dropped by the cable before they arrived. */
const lostOnTheWay = async (a: Namespace, b: Namespace): Promise<number> => {
  const dropped = async (namespace: Namespace, device: string, direction: 'rx' | 'tx') => {
    const text = await namespace.exec('ip', '-json', '-stats', 'link', 'show', 'dev', device);
    const [link] = JSON.parse(text) as { stats64: Record<'rx' | 'tx', { dropped: number }> }[];
    return link?.stats64[direction].dropped ?? Number.NaN;
  };
  return (await dropped(a, 'a0', 'tx')) + (await dropped(b, 'b0', 'rx'));
};

const replacements = [
  ['an XDP link’s program', 0, 1],
  ['a tc filter', 2, 3],
] as const;
for (const [name, one, other] of replacements) {
  t.test(`replaces ${name} under traffic without missing a packet`, async (t) => {
    const { a, b } = await cabledPair(t);
    const object = addon.openObject(path);
    const counts = object.map('counts').mmap();
    const place = { ifindex: addon.ifindexByName('b0', b.path), netns: b.path };
    const names = ['first', 'second', 'tc_pass', 'tc_second'] as const;
    const programs = [object.programFd(names[one]), object.programFd(names[other])] as const;
    const link =
      one === 0 ? addon.attachXdp({ ...place, programFd: programs[0], mode: 'native' }) : null;
    const put = (programFd: number) => {
      if (link) link.update(programFd);
      else addon.attachTc({ ...place, priority: 1, handle: 1, programFd });
    };
    put(programs[0]);
    let updates = 0;
    const timer = setInterval(() => {
      updates += 1;
      put(programs[updates % 2 ? 1 : 0]);
    }, 2);
    const sent = await sendUdp(a, 50_000, 2);
    clearInterval(timer);
    const [byOne = 0, byOther = 0] = [words64(counts)[one], words64(counts)[other]];
    const lost = await lostOnTheWay(a, b);
    t.ok(updates > 50, `${updates} updates`);
    t.ok(byOne > 1000 && byOther > 1000, `${byOne} and ${byOther} packets`);
    t.equal(byOne + byOther + lost, sent, `${lost} of them lost by the cable`);
    link?.close();
    object.close();
  });
}
