// SPDX-License-Identifier: Apache-2.0
// Bytes of an upload -> text and listeners.
import type { LogTarget } from './log/log-target.js';
import type { IpAddress, Listener } from './model/load-balancer.js';
import { parseHaproxyConfig } from './parse/haproxy-cfg.js';
import { parseLvsConfig } from './parse/keepalived-lvs.js';

export interface UploadOptions {
  readonly basePath: string;
  readonly certDir: string;
  /** Addresses of the amphora itself. */
  readonly localAddresses: ReadonlySet<IpAddress>;
}

export interface Upload {
  readonly text: string;
  readonly listeners: readonly Listener[];
  /** Of HAProxy configs: where its process answers. */
  readonly statsSocket: string | null;
  /** As the config names it; empty where it does not. */
  readonly loadBalancerId: string;
  /** Of HAProxy configs: where lines of flows go, empty with `no log`. */
  readonly logTargets: readonly LogTarget[];
}

/** UTF-8, or Latin-1 from older controllers (contract P6). */
export const decodeConfig = (data: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return new TextDecoder('latin1').decode(data);
  }
};

/** Takes out the `group` of older controllers, as the reference does before it stores the file. */
export const withoutGroup = (data: Uint8Array): Uint8Array => {
  const text = Buffer.from(data).toString('latin1');
  const kept = text.replaceAll(/^[ \t]+group[ \t]+\S+[ \t]*(\n|$)/gm, '');
  return kept.length === text.length ? data : Buffer.from(kept, 'latin1');
};

/** Throws ConfigRejected. */
export const readHaproxyUpload = (data: Uint8Array, options: UploadOptions): Upload => {
  const text = decodeConfig(data);
  const { listeners, statsSocket, loadBalancerId, logTargets } = parseHaproxyConfig(text, options);
  return { text, listeners, statsSocket, loadBalancerId, logTargets };
};

/** Throws ConfigRejected. */
export const readLvsUpload = (data: Uint8Array, options: UploadOptions): Upload => {
  const text = decodeConfig(data);
  const listener = parseLvsConfig(text, { basePath: options.basePath });
  return {
    text,
    listeners: [listener],
    statsSocket: null,
    loadBalancerId: listener.loadBalancerId,
    logTargets: [],
  };
};
