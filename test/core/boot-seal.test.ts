// SPDX-License-Identifier: Apache-2.0
// The key of the sealed store, and when a store is opened, made, replaced or left alone.
import t from 'tap';
import {
  type BootSecret,
  headerOf,
  parseBootSecret,
  parseHeader,
  planStore,
  sealOf,
} from '../../agent/core/boot/seal.js';

const seed = Buffer.alloc(512, 'seed');
const secret: BootSecret = { uuid: '1f6a6c0e-5f0e-4a5c-9d3c-0123456789ab', seed };
const salt = Buffer.alloc(16, 1);
const otherSalt = Buffer.alloc(16, 2);
const metadata = (fields: object): string => JSON.stringify({ uuid: secret.uuid, ...fields });

t.test('the seed as Nova gives it', async (t) => {
  const parsed = parseBootSecret(metadata({ random_seed: seed.toString('base64') }));
  t.same(parsed, secret);
});

t.test('what is no secret', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['no seed', metadata({})],
    ['not text', metadata({ random_seed: 7 })],
    ['empty', metadata({ random_seed: '' })],
    ['shorter than a key', metadata({ random_seed: Buffer.alloc(31).toString('base64') })],
    ['not base64', metadata({ random_seed: `${'A'.repeat(80)}\n` })],
    ['no uuid', JSON.stringify({ random_seed: seed.toString('base64') })],
    ['no object', 'null'],
    ['a word', '"random_seed"'],
  ];
  for (const [name, text] of cases) t.equal(parseBootSecret(text), null, name);
  t.throws(() => parseBootSecret('{'));
});

t.test('the key is what HKDF-SHA256 makes of it', async (t) => {
  // By hand, after RFC 5869: extract under the salt, expand with the purpose.
  const { createHmac } = await import('node:crypto');
  const hmac = (key: Uint8Array, data: Uint8Array): Buffer =>
    createHmac('sha256', key).update(data).digest();
  const expand = (purpose: string): Buffer =>
    hmac(
      hmac(salt, seed),
      Buffer.concat([
        Buffer.from(`amphora-xdp sealed store ${purpose} ${secret.uuid}`),
        Buffer.from([1]),
      ]),
    );
  t.strictSame(sealOf(secret, salt), {
    key: expand('key').toString('hex'),
    mark: expand('mark').subarray(0, 16).toString('base64url'),
  });
});

t.test('machine, seed and salt each change key and mark', async (t) => {
  const seals = [
    sealOf(secret, salt),
    sealOf(secret, otherSalt),
    sealOf({ ...secret, uuid: 'another' }, salt),
    sealOf({ ...secret, seed: Buffer.alloc(512, 'other') }, salt),
  ];
  t.equal(new Set(seals.map(({ key }) => key)).size, seals.length);
  t.equal(new Set(seals.map(({ mark }) => mark)).size, seals.length);
});

const seal = sealOf(secret, salt);

t.test('a header is read as cryptsetup prints it', async (t) => {
  const header = headerOf(seal, salt);
  t.ok(header.label.length < 48 && header.subsystem.length < 48, 'LUKS2 holds 47 characters');
  const dump = `LUKS header information
Version:       \t2
Epoch:         \t3
UUID:          \t2c9b6d5e-0000-4000-8000-000000000001
Label:         \t${header.label}
Subsystem:     \t${header.subsystem}
Flags:       \t(no flags)
`;
  t.strictSame(parseHeader(dump), header);
  t.equal(parseHeader(dump.replace(header.label, '(no label)')), null);
  t.equal(parseHeader(dump.replace('Subsystem:', 'Other:')), null);
  t.equal(parseHeader(''), null);
});

t.test('opened where the seed is the one that it was made under', async (t) => {
  const plan = planStore(secret, headerOf(seal, salt), otherSalt);
  t.strictSame(plan, { kind: 'open', seal });
});

t.test('made where there is none', async (t) => {
  t.strictSame(planStore(secret, null, salt), { kind: 'create', seal, salt });
});

t.test('replaced where the seed is another', async (t) => {
  const changed: BootSecret = { ...secret, seed: Buffer.alloc(512, 'new') };
  t.strictSame(planStore(changed, headerOf(seal, salt), otherSalt), {
    kind: 'replace',
    seal: sealOf(changed, otherSalt),
    salt: otherSalt,
  });
});

t.test('left alone where nothing is known', async (t) => {
  const kinds = [
    planStore(null, null, salt),
    planStore(null, headerOf(seal, salt), salt),
    planStore(secret, 'foreign', salt),
    planStore(secret, { label: 'data', subsystem: seal.mark }, salt),
  ].map(({ kind }) => kind);
  t.strictSame(kinds, ['memory', 'memory', 'memory', 'memory']);
});
