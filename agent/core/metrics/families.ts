// SPDX-License-Identifier: Apache-2.0
// Metrics as values, from and to the text format of Prometheus 0.0.4. All samples of a name stand together there.

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Value by labels, which are text as it stands between the braces; empty for a sample without labels. */
  readonly samples: ReadonlyMap<string, string>;
}

/** `{a="1",b="2"}` without the braces, with the values escaped. */
export const labelsText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${value.replaceAll(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`,
    )
    .join(',');

/** Samples of a later list of families replace those of an earlier one that have the same labels. */
export const mergeFamilies = (...lists: readonly (readonly Family[])[]): Family[] => {
  const merged = new Map<string, Family>();
  for (const family of lists.flat()) {
    const known = merged.get(family.name);
    const samples = new Map([...(known?.samples ?? []), ...family.samples]);
    merged.set(family.name, { ...(known ?? family), samples });
  }
  return [...merged.values()];
};

export const renderFamilies = (families: readonly Family[]): string =>
  families
    .filter(({ samples }) => samples.size > 0)
    .map(({ name, type, help, samples }) => {
      const lines = [...samples].map(([labels, value]) =>
        labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`,
      );
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
