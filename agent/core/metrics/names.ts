// SPDX-License-Identifier: Apache-2.0
// HAProxy's metrics -> Octavia's (contract 8.2). What is not listed is not shown.

/** Word that HAProxy puts between `haproxy_` and the rest -> ours, with labels to be renamed. */
interface Group {
  readonly haproxy: string;
  readonly octavia: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  /** Names that differ on both sides: ours by HAProxy's. */
  readonly renamed?: Readonly<Record<string, string>>;
}

const words = (text: string): string[] => text.trim().split(/\s+/);

const POOL_AND_MEMBER = words(`
  status current_sessions max_sessions limit_sessions sessions_total max_session_rate last_session_seconds
  current_queue max_queue bytes_in_total bytes_out_total connection_attempts_total connection_reuses_total
  queue_time_average_seconds connect_time_average_seconds response_time_average_seconds total_time_average_seconds
  max_queue_time_seconds max_connect_time_seconds max_response_time_seconds max_total_time_seconds
  responses_denied_total connection_errors_total response_errors_total retry_warnings_total
  redispatch_warnings_total failed_header_rewriting_total client_aborts_total check_up_down_total
  check_last_change_seconds downtime_seconds_total loadbalanced_total http_responses_total`);

const HTTP_COMPRESSION = words(`
  http_cache_lookups_total http_cache_hits_total http_comp_bytes_in_total http_comp_bytes_out_total
  http_comp_bytes_bypassed_total http_comp_responses_total`);

const GROUPS: readonly Group[] = [
  {
    haproxy: 'process_pool',
    octavia: 'memory_pool',
    labels: {},
    names: words('allocated_bytes used_bytes failures_total'),
  },
  {
    haproxy: 'process',
    octavia: 'loadbalancer',
    labels: {},
    names: words(`
      max_connections current_connections connections_total requests_total max_ssl_connections
      current_ssl_connections ssl_connections_total current_connection_rate limit_connection_rate
      max_connection_rate current_session_rate limit_session_rate max_session_rate current_ssl_rate
      limit_ssl_rate max_ssl_rate current_frontend_ssl_key_rate max_frontend_ssl_key_rate frontend_ssl_reuse
      current_backend_ssl_key_rate max_backend_ssl_key_rate ssl_cache_lookups_total ssl_cache_misses_total
      http_comp_bytes_in_total http_comp_bytes_out_total limit_http_comp listeners dropped_logs_total`),
  },
  {
    haproxy: 'frontend',
    octavia: 'listener',
    labels: { proxy: 'listener' },
    names: [
      ...words(`
        status current_sessions max_sessions limit_sessions sessions_total limit_session_rate max_session_rate
        connections_rate_max connections_total bytes_in_total bytes_out_total requests_denied_total
        responses_denied_total request_errors_total denied_connections_total denied_sessions_total
        failed_header_rewriting_total http_requests_rate_max http_requests_total http_responses_total
        intercepted_requests_total`),
      ...HTTP_COMPRESSION,
    ],
  },
  {
    haproxy: 'backend',
    octavia: 'pool',
    labels: { proxy: 'pool' },
    names: [
      ...POOL_AND_MEMBER,
      ...HTTP_COMPRESSION,
      ...words('requests_denied_total http_requests_total'),
    ],
    renamed: {
      server_aborts_total: 'member_aborts_total',
      active_servers: 'active_members',
      backup_servers: 'backup_members',
    },
  },
  {
    haproxy: 'server',
    octavia: 'member',
    labels: { proxy: 'pool', server: 'member' },
    names: [
      ...POOL_AND_MEMBER,
      ...words(`
        queue_limit server_aborts_total weight check_failures_total current_throttle
        idle_connections_current idle_connections_limit`),
    ],
  },
];

/** What a metric of HAProxy is called here, and its labels. */
export interface MetricName {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** By HAProxy's name. */
export const metricNames: ReadonlyMap<string, MetricName> = new Map(
  GROUPS.flatMap(({ haproxy, octavia, labels, names, renamed = {} }) =>
    [...names.map((name) => [name, name] as const), ...Object.entries(renamed)].map(
      ([from, to]) =>
        [`haproxy_${haproxy}_${from}`, { name: `octavia_${octavia}_${to}`, labels }] as const,
    ),
  ),
);
