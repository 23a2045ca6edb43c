// SPDX-License-Identifier: Apache-2.0
// The variables of HAProxy's `log-format` that a flow has a value for, and the sample expressions that name the same.
import { addressBytes, familyOf } from '../plan/address-bytes.js';
import type { LogContext, LoggedEnd, LoggedFlow } from './logged-flow.js';
import { dateText, momentText } from './time-text.js';

export interface LogFlags {
  /** `+Q`: texts in double quotes. */
  readonly quote: boolean;
  /** `+E`: a backslash before `"`, `\` and `]`. */
  readonly escape: boolean;
  /** `+X`: addresses, ports and some numbers in hexadecimal. */
  readonly hex: boolean;
}

export type LogVariable = (flow: LoggedFlow, context: LogContext, flags: LogFlags) => string;

export const noFlags: LogFlags = { quote: false, escape: false, hex: false };

/** A text as the flags want it; null is an empty value. */
export const logText = (text: string | null, { quote, escape }: LogFlags): string => {
  if (text === null) return quote ? '""' : '-';
  const escaped = escape ? text.replaceAll(/["\\\]]/g, '\\$&') : text;
  return quote ? `"${escaped}"` : escaped;
};

const hexText = (value: number, digits = 4): string =>
  value.toString(16).toUpperCase().padStart(digits, '0');

const address = (end: LoggedEnd | null, flags: LogFlags): string => {
  if (end === null || !flags.hex) return logText(end && end.address, flags);
  const bytes = addressBytes(end.address);
  const shown = familyOf(end.address) === 4 ? bytes.subarray(12) : bytes;
  return Array.from(shown, (byte) => hexText(byte, 2)).join('');
};

const port = (end: LoggedEnd | null, flags: LogFlags): string =>
  end === null ? logText(null, flags) : flags.hex ? hexText(end.port) : String(end.port);

const number = (value: (flow: LoggedFlow, context: LogContext) => number): LogVariable => {
  return (flow, context) => String(value(flow, context));
};

/** Those that HAProxy can write in hexadecimal. */
const hexNumber = (value: (flow: LoggedFlow, context: LogContext) => number): LogVariable => {
  return (flow, context, { hex }) =>
    hex ? hexText(value(flow, context)) : String(value(flow, context));
};

const text = (value: (flow: LoggedFlow, context: LogContext) => string): LogVariable => {
  return (flow, context, flags) => logText(value(flow, context), flags);
};

/** HAProxy's word for a phase that was not reached. */
const NOT_REACHED = -1;
const seconds = ({ acceptedMs }: LoggedFlow): number => Math.floor(acceptedMs / 1000);
/** A member that is asked at all is asked at once: there is no queue, and its answer accepts the client. */
const whenEstablished = (value: (flow: LoggedFlow) => number): LogVariable =>
  number((flow) => (flow.isEstablished ? value(flow) : NOT_REACHED));

const milliseconds: LogVariable = ({ acceptedMs }, _, { hex }) => {
  const value = Math.floor(acceptedMs) % 1000;
  return hex ? hexText(value, 2) : String(value).padStart(3, '0');
};

export const variables: ReadonlyMap<string, LogVariable> = new Map<string, LogVariable>([
  // names
  ['f', text((flow) => flow.listenerId)],
  ['ft', text((flow) => flow.listenerId)],
  ['b', text((flow) => flow.backend)],
  ['s', text((flow) => flow.memberId ?? '<NOSRV>')],
  ['H', text((_, { hostName }) => hostName)],
  ['pid', hexNumber((_, { pid }) => pid)],
  // ends
  ['ci', (flow, _, flags) => address(flow.client, flags)],
  ['cp', (flow, _, flags) => port(flow.client, flags)],
  ['fi', (flow, _, flags) => address(flow.vip, flags)],
  ['fp', (flow, _, flags) => port(flow.vip, flags)],
  ['bi', (flow, _, flags) => address(flow.source, flags)],
  ['bp', (flow, _, flags) => port(flow.source, flags)],
  ['si', (flow, _, flags) => address(flow.member, flags)],
  ['sp', (flow, _, flags) => port(flow.member, flags)],
  ['src', (flow, _, flags) => logText(flow.client.address, flags)],
  ['src_port', (flow, _, flags) => logText(String(flow.client.port), flags)],
  ['dst', (flow, _, flags) => logText(flow.vip.address, flags)],
  ['dst_port', (flow, _, flags) => logText(String(flow.vip.port), flags)],
  // bytes
  ['B', number((flow) => flow.bytesToClient)],
  ['U', number((flow) => flow.bytesFromClient)],
  // times: of acceptance, then milliseconds
  ['t', (flow, { local }) => momentText(local(flow.acceptedMs), flow.acceptedMs)],
  ['T', (flow, { utc }) => dateText(utc(flow.acceptedMs))],
  ['Tl', (flow, { local }) => dateText(local(flow.acceptedMs))],
  ['Ts', hexNumber(seconds)],
  ['ms', milliseconds],
  ['Tt', number((flow) => flow.durationMs)],
  ['Tu', number((flow) => flow.durationMs)],
  ['Td', whenEstablished((flow) => flow.durationMs)],
  ['Th', number(() => 0)],
  ['Tw', (flow) => (flow.memberId === null ? String(NOT_REACHED) : '0')],
  ['Tc', whenEstablished(() => 0)],
  // how it ended, and with how many others
  ['ts', (flow) => flow.termination],
  ['tsc', (flow) => `${flow.termination}--`],
  ['rc', number((flow) => flow.retries)],
  ['ac', number(({ listenerId }, { open }) => open(listenerId).all + 1)],
  ['fc', number(({ listenerId }, { open }) => open(listenerId).listener + 1)],
  ['bc', number(({ listenerId }, { open }) => open(listenerId).listener)],
  ['bq', number(() => 0)],
  ['sq', number(() => 0)],
]);
