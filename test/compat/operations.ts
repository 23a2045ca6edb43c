// SPDX-License-Identifier: Apache-2.0
// The operations of the contract, by their numbers.

/** Number, method, path; `{name}` is anything but a slash. */
export const OPERATIONS = [
  [1, 'GET', '/'],
  [2, 'GET', '/1.0/info'],
  [3, 'GET', '/1.0/details'],
  [4, 'GET', '/1.0/interface/{ip}'],
  [5, 'PUT', '/1.0/interface/{ip}/rules'],
  [6, 'POST', '/1.0/plug/vip/{vip}'],
  [7, 'POST', '/1.0/plug/network'],
  [8, 'PUT', '/1.0/loadbalancer/{amphora_id}/{lb_id}/haproxy'],
  [9, 'GET', '/1.0/loadbalancer/{lb_id}/haproxy'],
  [10, 'PUT', '/1.0/loadbalancer/{object_id}/{action}'],
  [11, 'PUT', '/1.0/listeners/{amphora_id}/{listener_id}/udp_listener'],
  [12, 'GET', '/1.0/listeners/{listener_id}/udp_listener'],
  [13, 'GET', '/1.0/listeners'],
  [14, 'DELETE', '/1.0/listeners/{object_id}'],
  [15, 'PUT', '/1.0/loadbalancer/{lb_id}/certificates/{file}'],
  [16, 'GET', '/1.0/loadbalancer/{lb_id}/certificates/{file}'],
  [17, 'DELETE', '/1.0/loadbalancer/{lb_id}/certificates/{file}'],
  [18, 'PUT', '/1.0/certificate'],
  [19, 'PUT', '/1.0/config'],
  [20, 'PUT', '/1.0/vrrp/upload'],
  [21, 'PUT', '/1.0/vrrp/{action}'],
] as const;

export type OperationNumber = (typeof OPERATIONS)[number][0];

/** The operation that a request means; null where there is none. */
export const operationOf = (method: string, path: string): OperationNumber | null => {
  const found = OPERATIONS.find(
    ([, wanted, template]) => wanted === method && patternOf(template).test(path),
  );
  return found?.[0] ?? null;
};

const patternOf = (template: string): RegExp =>
  template === '/' ? /^\/+$/ : new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
