// SPDX-License-Identifier: Apache-2.0
// The text of HAProxy's exporter -> families under Octavia's names (contract 8.1).
import type { Family } from './families.js';
import { type MetricName, metricNames } from './names.js';

interface Draft extends Family {
  readonly samples: Map<string, string>;
}

/** Lines about HAProxy's internal sections, and metrics without an Octavia name, are left out. */
export const parseExporter = (text: string): Family[] => {
  const families = new Map<string, Draft>();
  const draft = (own: MetricName): Draft => {
    const found = families.get(own.name) ?? {
      ...own,
      type: 'untyped',
      help: '',
      samples: new Map(),
    };
    families.set(own.name, found);
    return found;
  };
  for (const line of text.split('\n')) {
    if (line.includes('prometheus-exporter')) continue;
    const comment = /^# (HELP|TYPE) (\w+) ?(.*)$/.exec(line);
    const sample = comment ? null : /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line);
    const own = metricNames.get(comment?.[2] ?? sample?.[1] ?? '');
    if (own === undefined) continue;
    const family = draft(own);
    if (comment) {
      const said = comment[3] ?? '';
      const change = comment[1] === 'TYPE' ? { type: said } : { help: inOurWords(said, own) };
      families.set(own.name, { ...family, ...change });
    } else if (sample) {
      family.samples.set(renameLabels(sample[2] ?? '', own.labels), sample[3] ?? '');
    }
  }
  return [...families.values()];
};

const renameLabels = (labels: string, names: MetricName['labels']): string =>
  labels.replaceAll(/(?<=^|,)(\w+)(?==")/g, (word) => names[word] ?? word);

/** HAProxy speaks of proxies and servers; states are labels here, so the list of numbers would mislead. */
const inOurWords = (help: string, { name }: MetricName): string => {
  const proxy = /^octavia_(listener|pool|member)_/.exec(name)?.[1] ?? 'load balancer';
  if (name.endsWith('_status')) return `Current status of the ${proxy}, 1 at the state that holds.`;
  return help
    .replaceAll(/\b(proxy|frontend|service)\b/g, proxy === 'member' ? 'pool' : proxy)
    .replaceAll(/\bbackend\b/g, 'pool')
    .replaceAll(/\bserver(s?)\b/g, 'member$1');
};
