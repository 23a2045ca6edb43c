// SPDX-License-Identifier: Apache-2.0
// Whatever is done to a config: it is read, or refused with a line of it; nothing else happens, and soon.
import t from 'tap';
import { ConfigRejected } from '../../agent/core/parse/config-rejected.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { renderRemainder } from '../../agent/core/render/remainder.js';
import { readCases, type Upload } from './controller-cases.js';

/** A small generator with a seed, so that a failure can be had again (mulberry32). */
const random = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
};

const shrapnel = [
  ...[
    '\n',
    '\r',
    '\0',
    ' ',
    '\t',
    '"',
    "'",
    '\\',
    '#',
    '{',
    '}',
    ':',
    '/',
    '-',
    '%[',
    '$',
    'é',
    '\u{1f600}',
  ],
  ...[
    'global\n',
    '\nfrontend x\n',
    '\n    lua-load x',
    '999999999999',
    '-1',
    '0',
    '0x10',
    '1e9',
    'NaN',
  ],
  ...['::', '::1:', '[', '256.1.1.1', '10.0.0.1:80', '\\x41', '\\x', '__proto__', 'constructor'],
];

const mutate = (text: string, next: () => number): string => {
  const pick = (size: number): number => Math.floor(next() * size);
  const lines = text.split('\n');
  const at = pick(text.length);
  const line = pick(lines.length);
  switch (pick(6)) {
    case 0: // cut out
      return text.slice(0, at) + text.slice(at + pick(200));
    case 1: // put in
      return text.slice(0, at) + (shrapnel[pick(shrapnel.length)] ?? '') + text.slice(at);
    case 2: // a line twice
      return lines.toSpliced(line, 0, lines[line] ?? '').join('\n');
    case 3: // a line elsewhere
      return lines
        .toSpliced(line, 1)
        .toSpliced(pick(lines.length), 0, lines[line] ?? '')
        .join('\n');
    case 4: // another word
      return text.replace(/\S+/g, (word) =>
        next() < 0.01 ? (shrapnel[pick(shrapnel.length)] ?? '') : word,
      );
    default: // cut short
      return text.slice(0, at);
  }
};

const commands = { ping: '/bin/true', udp: '/bin/true', sctp: '/bin/true' };

/** Null where it was read, the refusal where it was refused; throws what else was thrown. */
const outcome = (upload: Upload, text: string): ConfigRejected | null => {
  try {
    const isLvs = upload.grammar === 'lvs';
    const listeners = isLvs ? [] : parseHaproxyConfig(text).listeners;
    const lvsListeners = isLvs ? [parseLvsConfig(text)] : [];
    const input = { loadBalancerId: 'x', listeners, lvsListeners, commands };
    renderRemainder({ ...input, text: isLvs ? null : text });
    return null;
  } catch (error) {
    if (error instanceof ConfigRejected) return error;
    throw error;
  }
};

const uploads = readCases().flatMap((one) => one.uploads);
const distinct = [...new Map(uploads.map((upload) => [upload.path, upload])).values()];
const rounds = 150;

t.test('a mutated config is read or refused, never anything else', async (t) => {
  let refused = 0;
  let read = 0;
  for (const [index, upload] of distinct.entries()) {
    const next = random(index);
    for (let round = 0; round < rounds; round++) {
      let text = upload.text;
      for (let step = Math.ceil(next() * 3); step > 0; step--) text = mutate(text, next);
      try {
        const rejected = outcome(upload, text);
        if (rejected === null) read++;
        else {
          refused++;
          const lines = text.split('\n').length;
          if (rejected.line < 1 || rejected.line > lines)
            t.fail(`${rejected.line} of ${lines} lines`);
        }
      } catch (error) {
        t.fail(`${upload.path}, seed ${index}, round ${round}`, { error, text });
      }
    }
  }
  t.equal(read + refused, distinct.length * rounds);
  t.ok(read > 1000 && refused > 1000, `${read} read, ${refused} refused`);
});

t.test('what is left for HAProxy is never refused by our own reading of it', async (t) => {
  for (const upload of distinct.filter(({ grammar }) => grammar === 'haproxy')) {
    const { listeners } = parseHaproxyConfig(upload.text);
    const input = { loadBalancerId: 'x', listeners, lvsListeners: [], commands };
    const text = renderRemainder({ ...input, text: upload.text });
    if (text === null) continue;
    const again = parseHaproxyConfig(text).listeners;
    t.strictSame(
      again.map(({ id }) => id),
      listeners.filter(({ engine }) => engine === 'haproxy').map(({ id }) => id),
    );
  }
});

t.test('a config of 500 listeners and 5,000 members is read in seconds', async (t) => {
  const lines = ['global', '    daemon'];
  for (let i = 0; i < 500; i++) {
    lines.push(`frontend l${i}`, `    bind 10.0.${i >> 8}.${i & 255}:80`, '    mode tcp');
    lines.push(`    default_backend p:l${i}`, `backend p:l${i}`, '    mode tcp');
    for (let m = 0; m < 10; m++) lines.push(`    server m${m} 10.1.0.${m + 1}:80 weight 1 check`);
  }
  const text = lines.join('\n');
  const start = performance.now();
  const { listeners } = parseHaproxyConfig(text);
  const left = renderRemainder({
    loadBalancerId: 'x',
    text,
    listeners,
    lvsListeners: [],
    commands,
  });
  const seconds = (performance.now() - start) / 1000;
  t.equal(listeners.filter(({ engine }) => engine === 'datapath').length, 500);
  t.equal(left?.match(/^backend/gm)?.length, 500);
  t.ok(seconds < 5, `${seconds.toFixed(2)} s`);
});

t.test('no line is slow to read, whatever it repeats', async (t) => {
  const pieces = [
    '%[',
    'map(',
    'jwt_verify(',
    'jwt_verify(a,',
    '\\ ',
    '"" ',
    "' '",
    '{ ',
    'a:',
    '::',
    'lua.',
  ];
  for (const piece of pieces) {
    for (const directive of [
      'acl a',
      'use_backend',
      'log-format',
      'server',
      'bind',
      '# Listener',
    ]) {
      const line = `    ${directive} ${piece.repeat(Math.floor(60_000 / piece.length))}`;
      const start = performance.now();
      for (const grammar of ['haproxy', 'lvs'] as const) {
        const upload = { grammar, objectId: '', octavia: '', path: '', text: '' };
        outcome(upload, `frontend f\n    bind 10.0.0.1:80\n${line}\n`);
      }
      const ms = performance.now() - start;
      if (ms > 500) t.fail(`${directive} ${piece}: ${ms.toFixed()} ms`);
    }
  }
  t.pass('all were quick');
});
