// SPDX-License-Identifier: Apache-2.0
// The life of a store of secrets under a directory that stands for the machine's root: made, opened, lost. Wherever
// commands can be run as root: here, or in a guest.
import { createHash } from 'node:crypto';
import type { Test } from 'tap';

export interface Place {
  /** What a script printed. Rejects where its status is not 0. */
  readonly sh: (script: string) => Promise<string>;
  /** The command under test, as words of a shell. */
  readonly command: string;
  /** A directory that is not there yet. */
  readonly directory: string;
}

const MAPPING = 'seal-test';
const UUID = '1f6a6c0e-5f0e-4a5c-9d3c-0123456789ab';
const SECRET = 'a key of a listener, to be found by nobody';
const seedOf = (name: string): string =>
  Buffer.alloc(512, createHash('sha256').update(name).digest()).toString('base64');

class Machine {
  readonly #place: Place;
  readonly root: string;

  constructor(place: Place) {
    this.#place = place;
    this.root = `${place.directory}/root`;
  }

  sh(script: string): Promise<string> {
    return this.#place.sh(`set -e; cd ${this.root}; ${script}`);
  }

  async make(): Promise<void> {
    const { sh, directory } = this.#place;
    await sh(`mkdir -p ${directory}/drive/openstack/latest ${this.root}/etc/octavia/interfaces`);
  }

  /** One boot's start of the command: 'sealed' or 'memory'. */
  async boot(metadata: object): Promise<string> {
    const { directory } = this.#place;
    return (await this.sh(`${await this.#call(metadata)} 2>${directory}/log`)).trim();
  }

  /** A start that is killed, with all that it has started itself, once `moment` is true. What it leaves behind. */
  async kill(metadata: object, moment: string): Promise<string> {
    const { directory } = this.#place;
    const call = `setsid ${await this.#call(metadata)} >${directory}/log 2>&1 & pid=$!; `;
    const wait = `until ${moment} || ! kill -0 $pid; do sleep 0.02; done; `;
    const left = await this.sh(
      `${call}${wait}kill -KILL -$pid || :; wait $pid && echo ended || echo killed; ` +
        `ls -1 var/lib/amphora-seal /dev/mapper; grep -o '${directory}[^ ]*' /proc/mounts || :`,
    );
    return left.replaceAll(directory, '').replaceAll(/\s+/g, ' ').trim();
  }

  /** The command's words, for a drive with such metadata. */
  async #call(metadata: object): Promise<string> {
    const { command, directory } = this.#place;
    const text = JSON.stringify({ uuid: UUID, ...metadata });
    await this.sh(`printf %s '${text}' >${directory}/drive/openstack/latest/meta_data.json`);
    return `${command} --root ${this.root} --mapping ${MAPPING} ${directory}/drive`;
  }

  log(): Promise<string> {
    return this.#place.sh(`cat ${this.#place.directory}/log`);
  }

  /** What is left when the power goes, as far as a directory can tell. */
  async cut(): Promise<void> {
    const places = 'etc/octavia var/lib/cloud run/amphora-seal/store';
    await this.sh(
      `for p in ${places}; do while mountpoint -q $p; do umount -R $p; done; done; ` +
        `for m in ${MAPPING} ${MAPPING}-new; do ` +
        '[ ! -e /dev/mapper/$m ] || cryptsetup close $m; done; rm -rf run',
    );
  }
}

const start = async (t: Test, place: Place): Promise<Machine> => {
  const machine = new Machine(place);
  await machine.make();
  t.teardown(async () => {
    await machine.cut();
    await place.sh(`rm -rf ${place.directory}`);
  });
  return machine;
};

/** For a machine with or without what a sealed store takes: a drive without a secret. */
export const checkMemory = (t: Test, place: Place): void => {
  t.test('without a seed secrets are in memory, and none of them on the disk', async (t) => {
    const machine = await start(t, place);
    await machine.sh('echo eth1 >etc/octavia/interfaces/eth1; echo old >etc/octavia/agent.conf');
    t.equal(await machine.boot({}), 'memory');
    t.match(await machine.log(), 'no random seed');
    const types = await machine.sh(
      'for p in run/amphora-seal/store etc/octavia var/lib/cloud; do findmnt -no FSTYPE $p; done',
    );
    t.equal(types, 'tmpfs\ntmpfs\ntmpfs\n');
    t.match(await machine.sh('findmnt -no OPTIONS run/amphora-seal/store'), 'noswap');
    t.equal(await machine.sh('cat etc/octavia/agent.conf'), 'old\n', 'what was there is there');
    await machine.sh(
      `echo '${SECRET}' >etc/octavia/server.pem; echo eth2 >etc/octavia/interfaces/eth2`,
    );
    t.equal(await machine.boot({}), 'memory', 'a second start changes nothing');
    t.equal(await machine.sh('cat etc/octavia/server.pem'), `${SECRET}\n`);
    await machine.cut();
    t.equal(await machine.sh('find etc var -type f | sort'), ONLY_PUBLIC.join('\n') + '\n');
    t.equal(await machine.sh('stat -c %a etc/octavia/interfaces'), '755\n');
  });
};

const ONLY_PUBLIC = [
  'etc/octavia/agent.conf',
  'etc/octavia/interfaces/eth1',
  'etc/octavia/interfaces/eth2',
];

/** Takes dm-crypt, loop devices and cryptsetup. */
export const checkSealed = (t: Test, place: Place): void => {
  t.test('a sealed store', async (t) => {
    const machine = await start(t, place);
    const seed = { random_seed: seedOf('first') };
    const other = { random_seed: seedOf('second') };
    const store = 'var/lib/amphora-seal/store.luks';
    const secrets = 'cat etc/octavia/server.pem var/lib/cloud/obj run/amphora-seal/store/certs/key';

    await machine.sh('echo old >etc/octavia/agent.conf; echo eth1 >etc/octavia/interfaces/eth1');
    t.equal(await machine.boot(seed), 'sealed');
    t.equal(await machine.sh('findmnt -no FSTYPE run/amphora-seal/store'), 'ext4\n');
    t.equal(await machine.sh('cat etc/octavia/agent.conf'), 'old\n', 'moved in');
    for (const path of ['etc/octavia/server.pem', 'var/lib/cloud/obj']) {
      await machine.sh(`echo '${SECRET}' >${path}`);
    }
    await machine.sh(`echo '${SECRET}' >run/amphora-seal/store/certs/key; sync`);
    t.equal(await machine.sh('stat -c %a:%U run/amphora-seal run/amphora-seal/store/certs'), MODES);
    t.equal(await machine.sh('echo eth2 >etc/octavia/interfaces/eth2; ls -1 etc/octavia'), LISTED);

    await machine.cut();
    const left = await machine.sh('find etc var/lib/cloud -type f | sort');
    t.equal(left, 'etc/octavia/interfaces/eth1\netc/octavia/interfaces/eth2\n', 'on the disk');
    t.equal(await machine.sh(`stat -c %a ${store}; grep -c '${SECRET}' ${store} || :`), '600\n0\n');

    t.equal(await machine.boot(seed), 'sealed');
    t.equal(await machine.sh(secrets), `${SECRET}\n`.repeat(3), 'all there at the next boot');
    t.equal(await machine.boot(seed), 'sealed', 'a second start changes nothing');
    t.equal(await machine.sh(secrets), `${SECRET}\n`.repeat(3));
    await machine.cut();

    const sum = `sha256sum <${store}`;
    const before = await machine.sh(sum);
    t.equal(await machine.boot({}), 'memory', 'a drive without a seed');
    t.equal(await machine.sh(secrets).catch(() => 'gone'), 'gone');
    await machine.cut();
    t.equal(await machine.sh(sum), before, 'the store is left alone');
    t.equal(await machine.boot(seed), 'sealed');
    t.equal(await machine.sh(secrets), `${SECRET}\n`.repeat(3), 'and opens when the seed is back');
    await machine.cut();

    t.equal(await machine.boot(other), 'sealed', 'another seed');
    t.match(await machine.log(), 'made under another seed');
    t.equal(await machine.sh(secrets).catch(() => 'gone'), 'gone');
    await machine.cut();

    await machine.sh(`mv ${store} kept; echo something else >${store}`);
    t.equal(await machine.boot(other), 'memory', 'something else in its place');
    t.equal(await machine.sh(`cat ${store}`), 'something else\n');
    await machine.cut();
    await machine.sh(`rm kept ${store}`);
  });

  t.test('made in the end, wherever it is stopped halfway', async (t) => {
    const machine = await start(t, place);
    const seed = { random_seed: seedOf('first') };
    const store = 'var/lib/amphora-seal/store.luks';
    const moments = [
      `[ -e ${store}.new ]`,
      `[ -e /dev/mapper/${MAPPING}-new ]`,
      `[ -e ${store} ]`,
      `[ -e /dev/mapper/${MAPPING} ]`,
      'mountpoint -q run/amphora-seal/store',
      'mountpoint -q etc/octavia',
    ];
    let killed = 0;
    for (const moment of moments) {
      await machine.sh('rm -rf var/lib/amphora-seal; echo old >etc/octavia/agent.conf');
      const found = await machine.kill(seed, moment);
      if (/\bkilled\b/.test(found)) killed += 1;
      // The power stays: what the killed one left open is in the way of the next.
      t.equal(await machine.boot(seed), 'sealed', `killed at ${moment}: ${found}`);
      t.equal(await machine.sh('cat etc/octavia/agent.conf'), 'old\n');
      await machine.cut();
      t.equal(await machine.sh('ls -1 var/lib/amphora-seal; ls -1 etc/octavia'), MADE);
    }
    // The last moments may have passed before anybody looks.
    t.ok(killed > 3, `${killed} were killed`);
  });
};

const MADE = 'store.luks\ninterfaces\n';
const MODES = '700:root\n750:root\n';
const LISTED = 'agent.conf\ninterfaces\nserver.pem\n';
