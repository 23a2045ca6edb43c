// SPDX-License-Identifier: Apache-2.0
// How a flow ended -> the first two characters of HAProxy's termination state (its manual, 8.5).
import { enums } from '../plan/layout.gen.js';

/** Whose timeout is the shorter one. */
export type IdleSide = 'c' | 's';

export interface EndOfFlow {
  /** enum flow_end. */
  readonly end: number;
  /** enum flow_state of the client half. */
  readonly state: number;
  readonly isTcp: boolean;
  readonly idleSide: IdleSide;
}

const { flow_end: ends, flow_state: states } = enums;

/**
 * `--` closed from both sides, or a datagram flow that fell silent; `CD`, `SD` reset by client, by member; `cD`, `sD`
 * client, member fell silent; `DD` ended with its member; `SC` no member took it.
 */
export const terminationOf = ({ end, state, isTcp, idleSide }: EndOfFlow): string => {
  switch (end) {
    case ends.FLOW_END_CLIENT_RST:
      return 'CD';
    case ends.FLOW_END_MEMBER_RST:
      return 'SD';
    case ends.FLOW_END_IDLE:
      return isTcp ? `${silentSide(state, idleSide)}D` : '--';
    case ends.FLOW_END_EVICTED:
      return 'DD';
    case ends.FLOW_END_REFUSED:
    case ends.FLOW_END_NO_MEMBER:
      return 'SC';
    default:
      return '--';
  }
};

/** Who has closed its side waits for the other one. */
const silentSide = (state: number, idleSide: IdleSide): IdleSide => {
  if ((state & states.FLOW_FIN) !== 0) return 's';
  return (state & states.FLOW_TWIN_FIN) !== 0 ? 'c' : idleSide;
};
