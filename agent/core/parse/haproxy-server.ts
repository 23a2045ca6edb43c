// SPDX-License-Identifier: Apache-2.0
// One `server` line into a member (contract 4.3.9).
import { parseIpAddress } from '../model/address.js';
import { isName } from '../model/ids.js';
import type { Member, Reason } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import type { Line } from './haproxy-lexer.js';
import {
  quoted,
  readAddress,
  readInteger,
  readPort,
  readTimeMs,
  readWeight,
  splitLastColon,
} from './values.js';

export interface ServerCheck {
  readonly intervalMs: number;
  readonly fall: number;
  readonly rise: number;
  readonly tls: boolean;
}

export interface ServerLine {
  readonly member: Member;
  /** Null: the server is not checked. */
  readonly check: ServerCheck | null;
  readonly obstacles: readonly Reason[];
}

/** HAProxy's defaults where a check says nothing else. */
const haproxyCheck: ServerCheck = { intervalMs: 2000, fall: 3, rise: 2, tls: false };

interface Draft {
  member: Member;
  check: ServerCheck;
  isChecked: boolean;
  obstacles: Reason[];
}

/** Throws ConfigRejected for values out of range; options that we do not know become obstacles. */
export const parseServer = (line: Line): ServerLine => {
  const [, id, target, ...options] = line.words;
  if (id === undefined || !isName(id)) {
    throw new ConfigRejected(`server name ${quoted(id)}`, line.number);
  }
  const draft: Draft = {
    member: newMember(id, target, line.number),
    check: haproxyCheck,
    isChecked: false,
    obstacles: [],
  };
  for (let i = 0; i < options.length; i++) {
    i += readOption(draft, options[i] ?? '', options[i + 1], line.number);
  }
  const { member, check, isChecked, obstacles } = draft;
  return { member, check: isChecked ? check : null, obstacles };
};

const newMember = (id: string, target: string | undefined, line: number): Member => {
  const parts = splitLastColon(target ?? '');
  if (target === undefined || parts === null) {
    throw new ConfigRejected(`server ${id} has no address and port: ${quoted(target)}`, line);
  }
  return {
    id,
    // A name, or an address of another kind, is HAProxy's to understand (contract P39).
    address: parseIpAddress(parts.host),
    port: readPort(parts.port, { what: `port of server ${id}`, line }),
    weight: 1,
    backup: false,
    enabled: true,
    monitorAddress: null,
    monitorPort: null,
  };
};

/** Takes in one option. Returns how many of the following words belong to it. */
const readOption = (
  draft: Draft,
  option: string,
  value: string | undefined,
  line: number,
): number => {
  const { id } = draft.member;
  const place = { what: `${option} of server ${id}`, line };
  const setMember = (change: Partial<Member>): void => {
    draft.member = { ...draft.member, ...change };
  };
  const setCheck = (change: Partial<ServerCheck>): void => {
    draft.check = { ...draft.check, ...change };
  };
  switch (option) {
    case 'weight':
      setMember({ weight: readWeight(value, place) });
      return 1;
    case 'backup':
      setMember({ backup: true });
      return 0;
    case 'disabled':
      setMember({ enabled: false });
      return 0;
    case 'check':
      draft.isChecked = true;
      return 0;
    case 'check-ssl':
      setCheck({ tls: true });
      return 0;
    case 'inter':
      setCheck({ intervalMs: readTimeMs(value, place) });
      return 1;
    case 'fall':
      setCheck({ fall: readInteger(value, [1, 1_000_000], place) });
      return 1;
    case 'rise':
      setCheck({ rise: readInteger(value, [1, 1_000_000], place) });
      return 1;
    case 'addr':
      setMember({ monitorAddress: readAddress(value, place) });
      return 1;
    case 'port':
      setMember({ monitorPort: readPort(value, place) });
      return 1;
    case 'cookie':
    case 'verify': // after check-ssl; of the traffic only together with `ssl`
    case 'check-alpn':
      return 1;
    default:
      return readObstacle(draft.obstacles, option, id);
  }
};

const tlsFlag = /^(?:no-(?:sslv3|tlsv1[0-3])|ssl)$/;
const tlsValue = /^(?:crt|ca-file|crl-file|sni|ciphers|ciphersuites|alpn)$/;

const readObstacle = (obstacles: Reason[], option: string, id: string): number => {
  const takesValue = tlsValue.test(option);
  if (takesValue || tlsFlag.test(option)) {
    obstacles.push({ code: 'server-tls', text: `member ${id} is reached over TLS` });
  } else if (option.startsWith('send-proxy')) {
    obstacles.push({
      code: 'proxy-protocol',
      text: `member ${id} expects the PROXY protocol before the client's first byte`,
    });
  } else {
    obstacles.push({
      code: 'unknown-server-option',
      text: `server ${id} has the option ${quoted(option)}, which only HAProxy knows`,
    });
  }
  return takesValue ? 1 : 0;
};
