// SPDX-License-Identifier: Apache-2.0
// Logging of UDP and SCTP listeners, whose configs do not speak of it: as their load balancer's other listeners log.
import type { Listener } from '../model/load-balancer.js';
import { LOCAL0, type LogTarget, defaultTarget } from './log-target.js';

/** What the combined config of a load balancer says about logs. */
export interface LoadBalancerLog {
  /** None where it has `no log`. */
  readonly logTargets: readonly LogTarget[];
  readonly listeners: readonly Listener[];
}

/** The controller's default (contract 9.3); nobody tells the project's id without a combined config. */
const defaultFormat = (loadBalancerId: string): string =>
  `- ${loadBalancerId === '' ? '-' : loadBalancerId} %f %ci %cp %t - - %B %U ` +
  '%[ssl_c_verify] %{+Q}[ssl_c_s_dn] %b %s %Tt %tsc';

/** The controller's own replacement for what has no requests. */
const withoutRequests = (format: string): string =>
  format.replaceAll(/%(?:\{\+Q\})?(?:r|ST)\b/g, '-');

export interface LoggedConfig {
  readonly kind: 'haproxy' | 'lvs';
  readonly upload: LoadBalancerLog & { readonly loadBalancerId: string };
}

export interface LvsLogOptions {
  /** Of a load balancer without a combined config, 0 to 7. */
  readonly facility: number;
  /** False: UDP and SCTP listeners have no lines, as in the stock amphora. */
  readonly logsDatagrams: boolean;
}

/** The listeners of all configs, those of LVS configs with the format and the targets of their load balancer. */
export const loggedListeners = (
  configs: readonly LoggedConfig[],
  options: LvsLogOptions,
): Listener[] =>
  configs.flatMap(({ kind, upload }) => {
    if (kind === 'haproxy' || !options.logsDatagrams) return upload.listeners;
    const combined = configs.find(
      (one) => one.kind === 'haproxy' && one.upload.loadBalancerId === upload.loadBalancerId,
    );
    return upload.listeners.map((one) => withLvsLog(one, combined?.upload ?? null, options));
  });

const withLvsLog = (
  listener: Listener,
  loadBalancer: LoadBalancerLog | null,
  { facility }: LvsLogOptions,
): Listener => {
  const logTargets = loadBalancer?.logTargets ?? [defaultTarget(LOCAL0 + facility)];
  const formats = loadBalancer?.listeners.flatMap(({ logFormat }) => logFormat ?? []) ?? [];
  const isOff =
    loadBalancer !== null && (logTargets.length === 0 || isUnlogged(loadBalancer, formats));
  if (isOff) return listener;
  const [first = defaultFormat(listener.loadBalancerId)] = formats;
  return { ...listener, logTargets, logFormat: withoutRequests(first) };
};

/** A controller that logs gives each listener a format. */
const isUnlogged = ({ listeners }: LoadBalancerLog, formats: readonly string[]): boolean =>
  listeners.length > 0 && formats.length === 0;
