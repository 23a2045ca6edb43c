// SPDX-License-Identifier: Apache-2.0
// amphoractl stats: the datapath's counters.
import type { Counters, ListenerCounters } from '../core/model/dataplane.js';
import { reportCommand } from './ctl-report.js';
import { renderTable, shortNumber } from './ctl-table.js';

export const stats = reportCommand<Counters>({
  name: 'stats',
  summary: "show the datapath's counters",
  about: `Counters of the datapath since its maps were made: per listener and member, and what became of
packets. RX is from clients, TX to clients; bytes are payload for TCP, whole packets for UDP and SCTP.`,
  render: (found) => renderStats(found),
});

const renderStats = (found: Counters): string[] => [
  ...renderTable(
    ['LISTENER / MEMBER', 'FLOWS', 'OPEN', 'RX PKT', 'RX BYTE', 'TX PKT', 'TX BYTE', 'REFUSED'],
    Object.entries(found.listeners).flatMap(([id, listener]) => [
      counterRow(id, listener, refusalsOf(listener)),
      ...Object.values(listener.pools)
        .flatMap((members) => Object.entries(members))
        .map(([member, counters]) => counterRow(`  ${member}`, counters, counters.refusals)),
    ]),
  ),
  '',
  ...renderTable(
    ['PACKETS', 'COUNT'],
    Object.entries(found.reasons)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => [reason, count]),
  ),
];

const counterRow = (
  name: string,
  one: Pick<ListenerCounters, 'flows' | 'open' | 'rxPackets' | 'rxBytes' | 'txPackets' | 'txBytes'>,
  refused: number,
): (string | number)[] => [
  name,
  one.flows,
  one.open,
  shortNumber(one.rxPackets),
  shortNumber(one.rxBytes),
  shortNumber(one.txPackets),
  shortNumber(one.txBytes),
  refused,
];

const refusalsOf = (listener: ListenerCounters): number =>
  listener.refusedAcl +
  listener.refusedLimit +
  listener.refusedNoMember +
  listener.refusedNoPort +
  listener.refusedTableFull +
  listener.droppedGuard;
