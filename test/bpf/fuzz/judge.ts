// SPDX-License-Identifier: Apache-2.0
// Says of each packet whether the datapath did right by it: verdict, bytes, counts, and the flow that it went by.
import assert from 'node:assert/strict';
import type { Reason } from '../support/board-spec.js';
import type { Outcome, Switchboard } from '../support/switchboard.js';
import { assertPair, halfOpenOf } from './audit.js';
import { backwards, type FlowBook, nameOf, type Way, wayOf } from './flow-book.js';
import { type Counts, Ledger } from './ledger.js';
import { assertReply } from './reply.js';
import { isMartian, mayBeOwn, type Served, servedAt } from './services.js';
import { assertTranslated } from './translation.js';
import type { Sent } from './traffic.js';
import { SCTP, TCP, UDP, viewOf, type View } from './view.js';

/** Each drop has one of these. */
const DROPS: readonly Reason[] = [
  ...(['ACL', 'LIMIT', 'NO_MEMBER', 'NO_PORT', 'TABLE_FULL', 'GUARD', 'MEMBER_REFUSED'] as const),
  ...(['NO_ROUTE', 'TTL', 'TOO_BIG', 'FRAGMENT_ORPHAN', 'NO_FLOW', 'ERROR'] as const),
];
/** Each packet that the kernel is to take on translated has one of these. */
const PASSED_UP: readonly Reason[] = ['NO_NEIGHBOUR', 'TOO_BIG', 'ICMP_TRANSLATED'];
const RST = 4;
const PORTED = [TCP, UDP, SCTP];

export class Judge {
  readonly #ledger: Ledger;
  readonly verdicts: Record<string, number> = {};

  constructor(
    readonly board: Switchboard,
    readonly book: FlowBook,
  ) {
    this.#ledger = new Ledger(board);
  }

  judge({ frame }: Sent, { verdict, frame: out }: Outcome): void {
    const view = viewOf(frame);
    const counts = this.#ledger.moved();
    const moved = (reasons: readonly Reason[]): number =>
      reasons.reduce((sum, reason) => sum + counts.reasons[reason], 0);
    this.verdicts[verdict] = (this.verdicts[verdict] ?? 0) + 1;
    assert.notEqual(verdict, 'abort');
    // the kernel hands tags to tc beside the frame, which test-run cannot: there is no room for an answer
    const answerable = this.board.hook === 'xdp' || view?.tags === 0;
    assert.ok(counts.reasons.ERROR === 0 || !answerable, 'a helper failed');
    if (this.#isNobodys(view)) assert.equal(verdict, 'pass', 'nothing of ours, and not passed');
    // Opened by a packet that does not get through (TTL, MTU): nothing is seen of it, and it may have taken a port.
    if (view && counts.reasons.NEW_FLOW > 0 && counts.packets === 0)
      for (const flow of halfOpenOf(this.board, view.family, wayOf(view))) this.book.note(flow);
    if (verdict === 'drop') {
      assert.ok(moved(DROPS) > 0, 'dropped without a reason');
      assert.ok(
        counts.packets === 0 || counts.reasons.ERROR > 0,
        'dropped, and counted as forwarded',
      );
      return;
    }
    const answers = counts.reasons.RST_SENT + counts.reasons.ICMP_SENT;
    const translated = counts.packets + counts.reasons.ICMP_TRANSLATED;
    if (verdict === 'pass' && translated === 0) {
      assert.equal(out.toString('hex'), frame.toString('hex'), 'passed, but changed');
      return;
    }
    assert.equal(translated + answers, 1, 'counted other than once');
    if (verdict === 'pass') {
      assert.ok(moved(PASSED_UP) > 0, 'passed translated without a reason');
      assert.equal(
        out.toString('hex', 0, 12),
        frame.toString('hex', 0, 12),
        'MACs of a packet passed up',
      );
    }
    assert.ok(view, 'forwarded or answered what is no whole packet');
    if (answers > 0) assertReply(view, out);
    else this.#follow(view, assertTranslated(view, out), counts);
  }

  /** Whole, and neither to a service nor of a flow. */
  #isNobodys(view: View | null): boolean {
    if (!view) return false;
    if (!mayBeOwn(view.destination)) return true;
    if (view.fragment !== 'none' || !PORTED.includes(view.protocol)) return false;
    const way = wayOf(view);
    return !served(way) && !this.book.byAnswer(way);
  }

  #follow(sent: View, out: View, counts: Counts): void {
    if (sent.fragment === 'later') {
      assert.ok(this.book.hasAddresses(sent.source, sent.destination), 'a piece of no known flow');
      assert.ok(
        this.book.hasAddresses(out.source, out.destination),
        'a piece went where no flow goes',
      );
      assert.equal(sent.source === out.source && sent.destination === out.destination, false);
      return;
    }
    if (!PORTED.includes(sent.protocol)) {
      const [before, after] = [quotedWay(sent), quotedWay(out)];
      assert.ok(before && after, 'an error that quotes nothing was translated');
      this.#matches(backwards(before), backwards(after));
      assert.equal(out.destination, after.source, 'the error goes to another than the quote is of');
      return;
    }
    const way = wayOf(sent);
    const billing = this.#matches(way, wayOf(out));
    if (served(way)) {
      const flow = { family: sent.family, client: way, member: wayOf(out) };
      this.book.note(flow);
      if (!(sent.flags & RST)) assertPair(this.board, flow);
    }
    const bytes = billing.billsPackets ? sent.end - sent.l3 : payloadOf(sent);
    assert.equal(counts.bytes, bytes, 'bytes counted');
  }

  /** Both are as they came in: `before` on this side, `after` on the other. */
  #matches(before: Way, after: Way): Served {
    const service = served(before);
    if (service) {
      assert.ok(!isMartian(before.source), 'a flow from a source that nobody has');
      const member = `${after.destination}:${after.dport}`;
      assert.ok(service.members.has(member), `${member} is no member of the service`);
      return service;
    }
    const flow = this.book.byAnswer(before);
    assert.ok(flow, 'forwarded, and of no known flow');
    assert.equal(nameOf(after), nameOf(backwards(flow.client)), 'the answer of another flow');
    const owner = served(flow.client);
    assert.ok(owner);
    return owner;
  }
}

const served = (way: Way): Served | undefined => servedAt(way.protocol, way.destination, way.dport);

const payloadOf = ({ frame, l4, end, protocol }: View): number => {
  const header = protocol === TCP ? (frame.readUInt8(l4 + 12) >> 4) * 4 : protocol === UDP ? 8 : 12;
  return end - l4 - header;
};

/** Addresses and ports of the packet that an ICMP error quotes. */
const quotedWay = ({ frame, family, l4, end }: View): Way | null => {
  const at = l4 + 8;
  const address = family === 4 ? ([at + 12, 4] as const) : ([at + 8, 16] as const);
  let ports = at + (family === 4 ? (frame.readUInt8(at) & 15) * 4 : 40);
  let protocol = frame.readUInt8(at + (family === 4 ? 9 : 6));
  if (family === 6 && protocol === 44) {
    protocol = frame.readUInt8(ports);
    ports += 8;
  }
  if (ports + 4 > end) return null;
  const [from, bytes] = address;
  return {
    protocol,
    source: frame.toString('hex', from, from + bytes),
    sport: frame.readUInt16BE(ports),
    destination: frame.toString('hex', from + bytes, from + 2 * bytes),
    dport: frame.readUInt16BE(ports + 2),
  };
};
