// SPDX-License-Identifier: Apache-2.0
// amphoractl status: what the running agent serves, how, and why.
import type { ListenerStatus, Status } from '../core/report/status.js';
import { reportCommand } from './ctl-report.js';
import { renderTable } from './ctl-table.js';

export const status = reportCommand<Status>({
  name: 'status',
  summary: 'say what the running agent serves, with which engine, and why',
  about: `Per listener the engine that serves it and why; members with their state and why they are not up;
interfaces with their hook and why; how full the tables are; whether the maps were adopted.`,
  render: (found) => renderStatus(found),
});

const renderStatus = (found: Status): string[] => [
  `amphora ${found.amphoraId}, agent up since ${found.startedAt}, maps ${found.maps}`,
  '',
  ...found.listeners.flatMap((listener) => [...renderListener(listener), '']),
  ...(found.listeners.length === 0 ? ['no listeners', ''] : []),
  ...renderTable(
    ['INTERFACE', 'HOOK', 'WHY'],
    found.interfaces.map((one) => [one.interface, one.hook, one.reason]),
  ),
  '',
  ...renderTable(
    ['TABLE', 'USED', 'SIZE'],
    found.tables.map(({ name, used, size }) => [name, used, size]),
  ),
  '',
  `map writes since the agent started: ${writesOf(found) || 'none'}`,
  ...(found.eventsLost > 0 ? ['', `${found.eventsLost} flow events lost`] : []),
];

const writesOf = ({ mapWrites }: Status): string =>
  Object.entries(mapWrites)
    .map(([map, count]) => `${map} ${count}`)
    .join(', ');

const renderListener = (listener: ListenerStatus): string[] => {
  const vips = listener.vips.map(({ address, port }) => `${address} ${port}`).join(', ');
  const open = listener.open === null ? '' : `, ${listener.open} open`;
  const idle = listener.isLive ? '' : ', no VIP is here';
  return [
    `listener ${listener.id}  ${listener.protocol} ${vips}`,
    `  engine ${listener.engine}${open}${idle}`,
    ...listener.reasons.map(({ code, text }) => `    ${code}: ${text}`),
    ...listener.pools.flatMap((pool) => [
      `  pool ${pool.id}  ${pool.algorithm}`,
      ...renderTable(
        ['MEMBER', 'ADDRESS', 'WEIGHT', 'STATE', 'OPEN', 'WHY'],
        pool.members.map((member) => [
          member.id,
          member.address === null ? '-' : `${member.address} ${member.port ?? '-'}`,
          `${member.weight}${member.backup ? ' backup' : ''}`,
          member.state,
          member.open ?? '-',
          member.why ?? '',
        ]),
      ).map((line) => `    ${line}`),
    ]),
  ];
};
