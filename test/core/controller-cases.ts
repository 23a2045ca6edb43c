// SPDX-License-Identifier: Apache-2.0
// The recorded uploads, as a table: each file of each controller version with the model it was rendered from.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface MemberModel {
  readonly id: string;
  readonly address: string;
  readonly protocol_port: number;
  readonly weight: number;
  readonly enabled: boolean;
  readonly backup: boolean;
  readonly monitor_address: string | null;
  readonly monitor_port: number | null;
}

export interface PoolModel {
  readonly id: string;
  readonly protocol: string;
  readonly lb_algorithm: string;
  readonly enabled: boolean;
  readonly members: readonly MemberModel[];
  readonly health_monitor: {
    readonly id: string;
    readonly type: string;
    readonly delay: number;
    readonly timeout: number;
    readonly rise_threshold: number;
    readonly fall_threshold: number;
    readonly enabled: boolean;
    readonly http_method?: string;
    readonly url_path?: string;
    readonly expected_codes?: string;
    readonly http_version?: number;
    readonly domain_name?: string;
  } | null;
  readonly session_persistence: {
    readonly type: string;
    readonly cookie_name?: string;
    readonly persistence_timeout?: number;
    readonly persistence_granularity?: string;
  } | null;
  readonly tls: { readonly enabled: boolean } | null;
}

export interface ListenerModel {
  readonly id: string;
  readonly protocol: string;
  readonly protocol_port: number;
  readonly default_pool: string | null;
  readonly connection_limit: number;
  readonly enabled: boolean;
  readonly timeout_client_data: number;
  readonly timeout_member_connect: number;
  readonly timeout_member_data: number;
  readonly l7policies: readonly { readonly action: string; readonly redirect_pool?: string }[];
}

export interface LoadBalancerModel {
  readonly id: string;
  readonly enabled: boolean;
  readonly vip: string;
  readonly additional_vips: readonly string[];
  readonly listeners: readonly ListenerModel[];
  readonly pools: readonly PoolModel[];
}

export interface Upload {
  readonly grammar: 'haproxy' | 'lvs';
  /** The listener that an LVS config is of; the amphora that a HAProxy config is for. */
  readonly objectId: string;
  readonly octavia: string;
  /** Absolute path, and the text that lies there. */
  readonly path: string;
  readonly text: string;
}

export interface Case {
  readonly name: string;
  readonly model: LoadBalancerModel;
  /** Files that the controller sends beside the configs: path in the amphora to content. */
  readonly files: ReadonlyMap<string, string>;
  /** Every version's, also where two versions rendered the same text. */
  readonly uploads: readonly Upload[];
}

interface CaseFile {
  readonly model: LoadBalancerModel;
  readonly files: Readonly<Record<string, { readonly text?: string; readonly copy_of?: string }>>;
  readonly renders: readonly {
    readonly octavia: string;
    readonly haproxy: Readonly<Record<string, { readonly file: string }>>;
    readonly lvs: Readonly<Record<string, { readonly file: string }>>;
  }[];
}

const root = fileURLToPath(new URL('../fixtures/controller-configs/', import.meta.url));

/** All cases in their order. Throws when the fixtures are not there: an empty table would test nothing. */
export const readCases = (): readonly Case[] => {
  const names = readdirSync(root).filter((name) => /^a\d\d-/.test(name));
  if (names.length < 44) throw new Error(`only ${names.length} cases in ${root}`);
  return names.sort().map(readCase);
};

const readCase = (name: string): Case => {
  const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');
  const { model, files, renders } = JSON.parse(read(`${name}/case.json`)) as CaseFile;
  return {
    name,
    model,
    files: new Map(
      Object.entries(files).map(([path, { text, copy_of }]) => [path, text ?? read(copy_of ?? '')]),
    ),
    uploads: renders.flatMap(({ octavia, haproxy, lvs }) =>
      (['haproxy', 'lvs'] as const).flatMap((grammar) =>
        Object.entries(grammar === 'haproxy' ? haproxy : lvs).map(([objectId, { file }]) => ({
          grammar,
          objectId,
          octavia,
          path: `${root}${name}/${file}`,
          text: read(`${name}/${file}`),
        })),
      ),
    ),
  };
};
