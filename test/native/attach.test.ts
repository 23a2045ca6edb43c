// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces inside namespaces, with real packets.
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { addon, type BpfObject } from '../../native/index.js';
import type { Namespace } from '../support/netns.js';
import { cabledPair, compile, mountBpffs, thrownBy, words64 } from './support.js';

const sender = join(import.meta.dirname, 'send-udp.py');
const path = await compile(t, 'hooks');
const here = readlinkSync('/proc/thread-self/ns/net');

const open = (t: Test): BpfObject => {
  const object = addon.openObject(path);
  t.teardown(() => {
    object.close();
  });
  return object;
};

const send = async (from: Namespace, count: number, seconds = 0.1): Promise<number> =>
  Number(await from.exec('python3', sender, '10.9.8.2', String(count), String(seconds)));

const pings = (from: Namespace): Promise<boolean> =>
  from.exec('ping', '-c', '2', '-i', '0.1', '-W', '1', '10.9.8.2').then(
    () => true,
    () => false,
  );

/** Packets that the program on b0 could not have seen: dropped by the cable before they arrived. */
const lostOnTheWay = async (a: Namespace, b: Namespace): Promise<number> => {
  const dropped = async (namespace: Namespace, device: string, direction: 'rx' | 'tx') => {
    const text = await namespace.exec('ip', '-json', '-stats', 'link', 'show', 'dev', device);
    const [link] = JSON.parse(text) as { stats64: Record<'rx' | 'tx', { dropped: number }> }[];
    return link?.stats64[direction].dropped ?? Number.NaN;
  };
  return (await dropped(a, 'a0', 'tx')) + (await dropped(b, 'b0', 'rx'));
};

for (const mode of ['native', 'skb', 'any'] as const) {
  t.test(`attaches XDP (${mode}) inside a namespace, and packets pass it`, async (t) => {
    const { a, b } = await cabledPair(t);
    const object = open(t);
    const counts = object.map('counts').mmap();
    const ifindex = addon.ifindexByName('b0', b.path);
    const link = addon.attachXdp({
      programFd: object.programFd('first'),
      ifindex,
      netns: b.path,
      mode,
    });
    t.equal(link.ifindex, ifindex);
    t.ok(await pings(a));
    t.equal(await send(a, 100), 100);
    t.equal(words64(counts)[0], 100);
    link.update(object.programFd('drop'));
    t.notOk(await pings(a), 'the program decides');
    link.detach();
    t.equal(link.ifindex, 0);
    t.ok(await pings(a));
    await send(a, 10);
    t.equal(words64(counts)[0], 100, 'detached');
    link.close();
    link.close();
    t.match(
      thrownBy(() => link.ifindex),
      { code: 'EBADF' },
    );
    t.match(
      thrownBy(() => {
        link.detach();
      }),
      { code: 'EBADF' },
    );
    t.equal(readlinkSync('/proc/thread-self/ns/net'), here, 'this thread never moved');
  });
}

t.test('closing an unpinned link detaches the program', async (t) => {
  const { a, b } = await cabledPair(t);
  const object = open(t);
  const ifindex = addon.ifindexByName('b0', b.path);
  const options = {
    programFd: object.programFd('drop'),
    ifindex,
    netns: b.path,
    mode: 'native',
  } as const;
  const link = addon.attachXdp(options);
  t.match(
    thrownBy(() => addon.attachXdp(options)),
    { code: 'EBUSY' },
    'one link per interface',
  );
  t.notOk(await pings(a));
  link.close();
  t.ok(await pings(a));
});

t.test('a pinned link outlives its handle and is opened again', async (t) => {
  const { a, b } = await cabledPair(t);
  const pin = join(await mountBpffs(t), 'b0');
  const object = open(t);
  const ifindex = addon.ifindexByName('b0', b.path);
  const link = addon.attachXdp({
    programFd: object.programFd('drop'),
    ifindex,
    netns: b.path,
    mode: 'native',
  });
  link.pin(pin);
  t.match(
    thrownBy(() => {
      link.pin(pin);
    }),
    { code: 'EEXIST', tried: `bpf_obj_pin link ${pin}` },
  );
  link.close();
  t.notOk(await pings(a));
  const again = addon.openPinnedLink(pin);
  t.equal(again.ifindex, ifindex);
  again.update(object.programFd('first'));
  t.ok(await pings(a));
  t.match(
    thrownBy(() => addon.openPinnedMap(pin)),
    { code: 'EINVAL', message: /it is no map/ },
  );
  again.detach();
  again.close();
});

const replacements = [
  ['an XDP link’s program', 0, 1],
  ['a tc filter', 2, 3],
] as const;
for (const [name, one, other] of replacements) {
  t.test(`replaces ${name} under traffic without missing a packet`, async (t) => {
    const { a, b } = await cabledPair(t);
    const object = open(t);
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
    const sent = await send(a, 50_000, 2);
    clearInterval(timer);
    const [byOne = 0, byOther = 0] = [words64(counts)[one], words64(counts)[other]];
    const lost = await lostOnTheWay(a, b);
    t.ok(updates > 50, `${updates} updates`);
    t.ok(byOne > 1000 && byOther > 1000, `${byOne} and ${byOther} packets`);
    t.equal(byOne + byOther + lost, sent, `${lost} of them lost by the cable`);
    link?.close();
  });
}

t.test('attaches to clsact ingress, replaces in place and detaches', async (t) => {
  const { a, b } = await cabledPair(t);
  const object = open(t);
  const counts = object.map('counts').mmap();
  const place = {
    ifindex: addon.ifindexByName('b0', b.path),
    netns: b.path,
    priority: 5,
    handle: 3,
  };
  addon.attachTc({ ...place, programFd: object.programFd('tc_pass') });
  t.ok(await pings(a));
  t.equal(await send(a, 100), 100);
  t.equal(words64(counts)[2], 100);
  addon.attachTc({ ...place, programFd: object.programFd('tc_drop') });
  t.notOk(await pings(a));
  const filters = await b.exec('tc', '-json', 'filter', 'show', 'dev', 'b0', 'ingress');
  t.equal(filters.match(/"handle":/g)?.length, 1, 'one filter, not two');
  t.match(filters, /direct-action/);
  addon.detachTc(place);
  t.ok(await pings(a));
  t.match(
    thrownBy(() => {
      addon.detachTc(place);
    }),
    { code: 'ENOENT', tried: /bpf_tc_detach/ },
  );
});

t.test('a program on both hooks sees the packets of both', async (t) => {
  const { a, b } = await cabledPair(t);
  const object = open(t);
  const ifindex = addon.ifindexByName('b0', b.path);
  const link = addon.attachXdp({
    programFd: object.programFd('first'),
    ifindex,
    netns: b.path,
    mode: 'native',
  });
  addon.attachTc({
    ifindex,
    netns: b.path,
    priority: 1,
    handle: 1,
    programFd: object.programFd('tc_pass'),
  });
  await send(a, 100);
  t.strictSame(words64(object.map('counts').mmap()), [100, 0, 100, 0]);
  link.close();
});

t.test('jumbo interfaces take only programs that know fragments', async (t) => {
  const { b } = await cabledPair(t, 9000);
  const attach = (xdpFrags: boolean) => {
    const object = addon.openObject(path, { xdpFrags });
    const ifindex = addon.ifindexByName('b0', b.path);
    try {
      const programFd = object.programFd('first');
      addon.attachXdp({ programFd, ifindex, netns: b.path, mode: 'native' }).close();
    } finally {
      object.close();
    }
  };
  t.match(
    thrownBy(() => {
      attach(false);
    }),
    { code: 'ERANGE' },
  );
  t.doesNotThrow(() => {
    attach(true);
  });
});

t.test('the link of an interface that has gone says so', async (t) => {
  const { b } = await cabledPair(t);
  const object = open(t);
  const ifindex = addon.ifindexByName('b0', b.path);
  const link = addon.attachXdp({
    programFd: object.programFd('first'),
    ifindex,
    netns: b.path,
    mode: 'native',
  });
  await b.ip('link del b0');
  t.equal(link.ifindex, 0);
  t.match(
    thrownBy(() => {
      link.update(object.programFd('second'));
    }),
    { tried: 'bpf_link_update' },
  );
  link.close();
});

t.test('names what could not be attached, and where', async (t) => {
  const { b } = await cabledPair(t);
  const object = open(t);
  const ifindex = addon.ifindexByName('b0', b.path);
  const good = {
    programFd: object.programFd('first'),
    ifindex,
    netns: b.path,
    mode: 'native',
  } as const;
  const cases = [
    [{ ...good, ifindex: 999_999 }, { tried: 'bpf_link_create xdp on interface 999999' }],
    [
      { ...good, netns: '/nonexistent' },
      { code: 'ENOENT', tried: 'setns /nonexistent' },
    ],
    [{ ...good, programFd: 999_999 }, { code: 'EBADF' }],
    [{ ...good, programFd: object.programFd('tc_pass') }, { code: 'EINVAL' }],
  ] as const;
  for (const [options, error] of cases)
    t.match(
      thrownBy(() => addon.attachXdp(options)),
      error,
    );
  const tc = {
    programFd: object.programFd('tc_pass'),
    ifindex,
    netns: b.path,
    priority: 1,
    handle: 1,
  };
  t.match(
    thrownBy(() => {
      addon.attachTc({ ...tc, ifindex: 999_999 });
    }),
    { tried: /interface 999999/ },
  );
  t.match(
    thrownBy(() => {
      addon.attachTc({ ...tc, programFd: good.programFd });
    }),
    { code: 'EINVAL' },
  );
});

t.test('opens sockets that belong to the namespace', async (t) => {
  const { b } = await cabledPair(t);
  const fd = addon.socketInNetns({ netns: b.path, family: 2, type: 2, protocol: 0 });
  t.match(readlinkSync(`/proc/self/fd/${fd}`), /^socket:/);
  const { closeSync } = await import('node:fs');
  closeSync(fd);
  const wrong = { netns: b.path, family: 255, type: 2, protocol: 0 };
  t.match(
    thrownBy(() => addon.socketInNetns(wrong)),
    { code: 'EAFNOSUPPORT', tried: `socket in ${b.path}` },
  );
});
