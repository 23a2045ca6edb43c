// SPDX-License-Identifier: Apache-2.0
// A controller's rendered configs with other addresses, ports, ids and numbers: every line is of a form that a
// controller wrote, so what the agent reads is a controller's rendering.
import { haproxyFixture, lvsFixture } from './fixtures.js';
import { MEMBERS, VIP, type MemberName } from './topology.js';

export interface MemberSpec {
  readonly member: MemberName;
  readonly weight?: number;
  readonly backup?: boolean;
  readonly enabled?: boolean;
}

export interface ListenerSpec {
  /** Case under test/fixtures/controller-configs whose frontend and backend this is. */
  readonly fixture: string;
  /** Of the controller that rendered it; 11.0.0 when absent. */
  readonly version?: string;
  /** Also the port of the members. Ids follow from it. */
  readonly port: number;
  /** IPv4 VIP when absent. */
  readonly vips?: readonly string[];
  readonly members: readonly MemberSpec[];
  readonly connectionLimit?: number;
  readonly timeouts?: {
    readonly clientMs: number;
    readonly connectMs: number;
    readonly serverMs: number;
  };
  /** For fixtures with a monitor. */
  readonly check?: { readonly interSeconds: number; readonly fall: number; readonly rise: number };
}

export const LOAD_BALANCER = '0000beef-0000-4000-8000-000000000000';

export const listenerId = (port: number): string => id(port, '9000', 0);
export const poolId = (port: number): string => id(port, 'a000', 0);
export const memberId = (port: number, member: MemberName): string =>
  id(port, 'b000', Number(member.slice(1)));

/** The combined HAProxy config of one load balancer with all these listeners. */
export const renderLoadBalancer = (
  specs: readonly ListenerSpec[],
  loadBalancer = LOAD_BALANCER,
): string => {
  const [first] = specs;
  const head = split(haproxyFixture(first?.fixture ?? 'a01-tcp')).head;
  return [
    head.replaceAll(loadBalancerOf(head), loadBalancer),
    ...specs.map((spec) => renderListener(spec, loadBalancer)),
  ].join('');
};

/** The keepalived config of one UDP listener. IPv4 and IPv6 VIPs get a group each, as in contract 4.5.1. */
export const renderLvsListener = (spec: ListenerSpec): string => {
  const text = lvsFixture(spec.fixture, spec.version);
  const groupAt = text.indexOf('virtual_server_group');
  const ids = [/Listener (\S+)/, /Pool (\S+)/].map((pattern) => pattern.exec(text)?.[1] ?? '');
  const families = [4, 6].filter((family) => vipsOf(spec).some((vip) => familyOf(vip) === family));
  const groups = families.map((family) => renderGroup(text.slice(groupAt), spec, family));
  return [text.slice(0, groupAt), ...groups]
    .join('')
    .replaceAll(ids[0] ?? '', listenerId(spec.port))
    .replaceAll(ids[1] ?? '', poolId(spec.port));
};

const id = (port: number, kind: string, number: number): string =>
  `${String(port).padStart(8, '0')}-0000-4000-${kind}-${String(number).padStart(12, '0')}`;

const vipsOf = (spec: ListenerSpec): readonly string[] => spec.vips ?? [VIP.v4];

const familyOf = (address: string): number => (address.includes(':') ? 6 : 4);

const addressOf = (member: MemberName, family: number): string =>
  family === 6 ? MEMBERS[member].v6 : MEMBERS[member].v4;

const split = (text: string): { head: string; body: string } => {
  const at = text.indexOf('\nfrontend ') + 1;
  return { head: text.slice(0, at), body: text.slice(at) };
};

const loadBalancerOf = (head: string): string =>
  /^# Configuration for loadbalancer (\S+)/.exec(head)?.[1] ?? '';

const renderListener = (spec: ListenerSpec, loadBalancer: string): string => {
  const { head, body } = split(haproxyFixture(spec.fixture, spec.version));
  const listener = /^frontend (\S+)/m.exec(body)?.[1] ?? '';
  const pool = /^backend (\S+):/m.exec(body)?.[1] ?? '';
  let text = body
    .replaceAll(loadBalancerOf(head), loadBalancer)
    .replaceAll(listener, listenerId(spec.port))
    .replaceAll(pool, poolId(spec.port));
  text = replaceLines(text, 'bind', () => vipsOf(spec).map((vip) => `bind ${vip}:${spec.port}`));
  text = replaceLines(text, 'server', (template) => serverLines(spec, template));
  if (spec.connectionLimit !== undefined) {
    text = text.replace(/^( +(?:maxconn|fullconn)) \d+$/gm, `$1 ${spec.connectionLimit}`);
  }
  const { clientMs, connectMs, serverMs } = spec.timeouts ?? {};
  for (const [name, value] of Object.entries({
    client: clientMs,
    connect: connectMs,
    server: serverMs,
  })) {
    if (value !== undefined)
      text = text.replace(new RegExp(`^( +timeout ${name}) \\d+$`, 'm'), `$1 ${value}`);
  }
  return text;
};

/** All lines of one directive, replaced where the first of them stood. */
const replaceLines = (
  text: string,
  directive: string,
  make: (template: string) => readonly string[],
): string => {
  const pattern = new RegExp(`^    ${directive} .*\n`, 'gm');
  const lines = text.match(pattern) ?? [];
  const template = lines.find((line) => !/ (backup|disabled)\b/.test(line)) ?? lines[0];
  if (template === undefined) throw new Error(`no ${directive} line`);
  let isFirst = true;
  return text.replaceAll(pattern, () => {
    if (!isFirst) return '';
    isFirst = false;
    return make(template.trim())
      .map((line) => `    ${line}\n`)
      .join('');
  });
};

const serverLines = (spec: ListenerSpec, template: string): string[] => {
  const family = familyOf(vipsOf(spec)[0] ?? VIP.v4);
  let options = template
    .replace(/^server \S+ \S+ weight \d+/, '')
    .replace(/ (backup|disabled)$/, '');
  if (spec.check) {
    const { interSeconds, fall, rise } = spec.check;
    options = options.replace(
      /inter \d+s fall \d+ rise \d+/,
      `inter ${interSeconds}s fall ${fall} rise ${rise}`,
    );
  }
  return spec.members.map(({ member, weight, backup, enabled }) =>
    [
      `server ${memberId(spec.port, member)} ${addressOf(member, family)}:${spec.port} weight ${weight ?? 1}${options}`,
      ...(backup === true ? ['backup'] : []),
      ...(enabled === false ? ['disabled'] : []),
    ].join(' '),
  );
};

const renderGroup = (template: string, spec: ListenerSpec, family: number): string => {
  const vips = vipsOf(spec).filter((vip) => familyOf(vip) === family);
  const addresses = vips.map((vip) => `    ${vip} ${spec.port}\n`).join('');
  const blocks = /( *# Configuration for Member [\s\S]*)\n}\n/.exec(template)?.[1] ?? '';
  const [block = ''] = blocks.split(/(?=^ *# Configuration for Member )/m);
  const members = spec.members.map((member) => renderRealServer(block, spec, member, family));
  return template
    .replaceAll('ipv4-group', `ipv${family}-group`)
    .replace(/{\n(?: +\S+ \d+\n)+}/, () => `{\n${addresses}}`)
    .replace(blocks, () => members.join(''));
};

const renderRealServer = (
  block: string,
  spec: ListenerSpec,
  { member, weight, enabled }: MemberSpec,
  family: number,
): string => {
  if (enabled === false) return `    # Member ${memberId(spec.port, member)} is disabled\n\n`;
  const [, oldAddress = '', oldPort = ''] = /real_server (\S+) (\d+)/.exec(block) ?? [];
  return block
    .replace(/Member \S+/, `Member ${memberId(spec.port, member)}`)
    .replaceAll(`${oldAddress} ${oldPort}`, `${addressOf(member, family)} ${spec.port}`)
    .replace(/weight \d+/, `weight ${weight ?? 1}`);
};
