// SPDX-License-Identifier: Apache-2.0
// The remainder config: what is left for HAProxy of a load balancer that the datapath serves.
import { splitBackendName } from '../model/ids.js';
import type { Listener } from '../model/load-balancer.js';
import { lexHaproxy, type Section } from '../parse/haproxy-lexer.js';
import { defaultLimits } from '../parse/limits.js';
import { renderCheckBackends, type CheckCommands } from './check-backends.js';
import { currentLine } from './current-line.js';
import { needsAny } from './missing-files.js';

export interface RemainderInput {
  readonly loadBalancerId: string;
  /** The HAProxy config as uploaded and accepted by `parseHaproxyConfig`; null if there is none. */
  readonly text: string | null;
  /** What `parseHaproxyConfig(text)` gave; empty if there is no text. */
  readonly listeners: readonly Listener[];
  /** What `parseLvsConfig` gave for each UDP and SCTP listener of the same load balancer. */
  readonly lvsListeners: readonly Listener[];
  /** Programs for the checks that HAProxy cannot do itself. */
  readonly commands: CheckCommands;
  /** `base_path` of the agent's config, for a load balancer without a text. Default: /var/lib/octavia. */
  readonly basePath?: string;
  /**
   * Lets check commands use file capabilities (a raw socket for SCTP, as HAProxy's user) by
   * `insecure-setuid-wanted`. Default: false.
   */
  readonly privilegedChecks?: boolean;
  /** Certificate files, as the text names them, that HAProxy would not find. Default: none. */
  readonly missingFiles?: ReadonlySet<string>;
}

/**
 * The config that HAProxy runs, or null when nothing is left for it to do. It holds the upload but for
 * the frontends that the datapath serves and their backends without a monitor: HAProxy checks a
 * backend without a frontend too, and its statistics row `<pool>:<listener>/<member>` is the member's
 * health. The monitored pools of `lvsListeners` follow as backends of the same form. A listener that needs
 * a missing file is left out: HAProxy would refuse the others with it.
 */
export const renderRemainder = (input: RemainderInput): string | null => {
  const checks = input.lvsListeners.flatMap((listener) =>
    renderCheckBackends(listener, input.commands),
  );
  const kept = input.text === null ? [] : keptSections(input.text, input);
  if (checks.length === 0 && !kept.some(({ section }) => proxyKinds.has(section.kind))) return null;
  const additions = missingDirectives(input, kept, {
    runsPrograms: checks.some(({ runsProgram }) => runsProgram),
  });
  const hasGlobal = kept.some(({ section }) => section.kind === 'global');
  return [
    `# Configuration for loadbalancer ${input.loadBalancerId}`,
    '# What is left for HAProxy of the uploaded configs; written anew at each change.',
    ...(hasGlobal ? [] : [...globalLines(input), ...additions, '']),
    ...kept.flatMap(({ section, lines }) => [
      ...lines,
      ...(section.kind === 'global' ? additions : []),
      '',
    ]),
    ...checks.flatMap(({ lines }) => [...lines, '']),
  ].join('\n');
};

interface KeptSection {
  readonly section: Section;
  readonly lines: readonly string[];
}

const proxyKinds: ReadonlySet<string> = new Set(['frontend', 'backend', 'listen']);

const keptSections = (
  text: string,
  { listeners, missingFiles = new Set() }: Pick<RemainderInput, 'listeners' | 'missingFiles'>,
): readonly KeptSection[] => {
  const sections = lexHaproxy(text, defaultLimits);
  const offloaded = new Set(
    listeners.filter(({ engine }) => engine === 'datapath').map(({ id }) => id),
  );
  const cannotRun = needsAny(sections, missingFiles);
  const isServed = (section: Section): boolean =>
    section.kind === 'frontend' && (offloaded.has(section.name) || cannotRun(section));
  const wanted = backendReferences(sections.filter((section) => !isServed(section)));
  const freed = backendReferences(sections.filter(isServed));
  const isIdle = (section: Section): boolean => {
    if (section.kind !== 'backend' || wanted.has(section.name) || wanted.has(anyBackend))
      return false;
    const { listenerId } = splitBackendName(section.name);
    const isFreed = freed.has(section.name) || (listenerId !== null && offloaded.has(listenerId));
    return isFreed && !isChecked(section);
  };
  const all = text.split('\n');
  return sections.flatMap((section, i) => {
    if (isServed(section) || isIdle(section) || cannotRun(section)) return [];
    const end = sections[i + 1]?.head.number ?? all.length + 1;
    return [{ section, lines: sectionLines(section, all.slice(section.head.number - 1, end - 1)) }];
  });
};

/** Stands for a backend that is chosen by an expression, while requests come in. */
const anyBackend = '%';

const backendReferences = (sections: readonly Section[]): ReadonlySet<string> =>
  new Set(
    sections
      .flatMap(({ body }) => body)
      .filter(({ words }) => words[0] === 'default_backend' || words[0] === 'use_backend')
      .map(({ words }) => words[1] ?? '')
      .map((name) => (name.startsWith('%') ? anyBackend : name)),
  );

const isChecked = ({ body }: Section): boolean =>
  body.some(({ words }) => words[0] === 'server' && words.includes('check', 3));

/** The lines of a section as this HAProxy wants them, without blank ones at the end. */
const sectionLines = (section: Section, raw: readonly string[]): readonly string[] => {
  const byNumber = new Map(section.body.map((line) => [line.number, line]));
  const lines = raw.flatMap((text, i) => {
    const line = byNumber.get(section.head.number + i);
    return line === undefined ? [text] : currentLine(line, section);
  });
  const end = lines.findLastIndex((text) => text.trim() !== '');
  return lines.slice(0, end + 1);
};

/**
 * What `global` needs beside the uploaded: the socket that health is read from, without which HAProxy
 * does not start for backends alone, and leave to run programs.
 */
const missingDirectives = (
  { loadBalancerId, basePath = '/var/lib/octavia', privilegedChecks = false }: RemainderInput,
  kept: readonly KeptSection[],
  { runsPrograms }: { readonly runsPrograms: boolean },
): readonly string[] => {
  const lines = kept
    .filter(({ section }) => section.kind === 'global')
    .flatMap(({ section }) => section.body);
  const wanted = [
    `stats socket ${basePath}/${loadBalancerId}.sock mode 0666 level user`,
    ...(runsPrograms ? ['external-check', 'insecure-fork-wanted'] : []),
    ...(runsPrograms && privilegedChecks ? ['insecure-setuid-wanted'] : []),
  ];
  const start = (text: string): string => text.split(' ', 2).join(' ');
  const present = new Set(lines.map(({ words }) => start(words.join(' '))));
  return wanted.filter((one) => !present.has(start(one))).map((one) => `    ${one}`);
};

/** A load balancer that only has UDP and SCTP listeners gets the controller's own frame (contract 4.3.1). */
const globalLines = ({
  loadBalancerId,
  basePath = '/var/lib/octavia',
}: RemainderInput): string[] => [
  'global',
  '    user nobody',
  '    log /run/rsyslog/octavia/log local1 notice',
  `    server-state-file ${basePath}/${loadBalancerId}/servers-state`,
  '    maxconn 1000',
];
