// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces inside namespaces, with real packets.
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { addon, type BpfObject } from '../../native/index.js';
import type { Namespace } from '../support/netns.js';
import { cabledPair, compile, mountBpffs, sendUdp, thrownBy, words64 } from './support.js';

const path = await compile(t, 'hooks');
const here = readlinkSync('/proc/thread-self/ns/net');

const open = (t: Test): BpfObject => {
  const object = addon.openObject(path);
  t.teardown(() => {
    object.close();
  });
  return object;
};

const pings = (from: Namespace): Promise<boolean> =>
  from.exec('ping', '-c', '2', '-i', '0.1', '-W', '1', '10.9.8.2').then(
    () => true,
    () => false,
  );

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
    t.equal(await sendUdp(a, 100), 100);
    t.equal(words64(counts)[0], 100);
    link.update(object.programFd('drop'));
    t.notOk(await pings(a), 'the program decides');
    link.detach();
    t.equal(link.ifindex, 0);
    t.ok(await pings(a));
    await sendUdp(a, 10);
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
  t.equal(await sendUdp(a, 100), 100);
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
  await sendUdp(a, 100);
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
