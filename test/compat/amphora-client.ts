// SPDX-License-Identifier: Apache-2.0
// Octavia's own client of the API as a child process in the management network: questions and answers in JSON lines.
import { join } from 'node:path';
import { amphoraFixture } from '../support/fixtures.js';
import type { Namespace } from '../support/netns.js';
import { inCheckout } from '../support/paths.js';
import { AMPHORA_ID } from '../support/tls.js';
import { MANAGEMENT } from '../support/topology.js';
import { startPython } from './python.js';

/** Whose pair a client shows; `rotated` is the agent's next one. */
export type Certificate = 'controller' | 'intruder' | 'expired' | 'none' | 'rotated';
export type Bytes = string | { readonly base64: string };

export type Ask =
  | { readonly call: string; readonly arguments?: readonly unknown[] }
  | {
      readonly request: {
        readonly method: string;
        readonly path: string;
        readonly headers?: Readonly<Record<string, string>>;
        readonly body?: Bytes;
      };
    }
  | {
      readonly handshake: {
        readonly certificate: Certificate;
        readonly version?: '1.1' | '1.2' | '1.3';
        readonly send?: string;
      };
    }
  | {
      readonly hold: {
        readonly kind: 'silent' | 'half a head' | 'slow body';
        readonly count: number;
      };
    }
  | { readonly release: true }
  /** Seconds. */
  | { readonly wait: number };

/** What came over the wire. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly sent: Readonly<Record<string, string>>;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Base64. */
  readonly body: string;
}

export interface Heard {
  /** What the method returned, or the name of the exception. */
  readonly outcome: unknown;
  readonly words?: string;
  readonly seen: Seen | null;
}

export interface AmphoraClient {
  /** Files of the pairs, by name. */
  readonly certificates: Readonly<Record<string, string>>;
  ask(ask: Ask): Promise<Heard>;
  stop(): Promise<void>;
}

/** `directory`: where the pairs go that are made for this run. */
export const startAmphoraClient = async (
  management: Namespace,
  directory: string,
): Promise<AmphoraClient> => {
  const inside = ['nsenter', `--net=${management.path}`, '--', 'setpriv', '--pdeathsig', 'KILL'];
  const python = startPython('amphora_client.py', inside);
  const certificates = await python.ask(setup(directory));
  return {
    certificates: certificates as Record<string, string>,
    ask: (ask) => python.ask(ask) as Promise<Heard>,
    stop: () => python.stop(),
  };
};

const setup = (directory: string) => {
  const pki = (name: string) => inCheckout(join('test/fixtures/controller-vm/pki', name));
  const authority = (name: string) => ({
    cert: amphoraFixture(`pki/${name}.cert.pem`),
    key: amphoraFixture(`pki/${name}.key.pem`),
  });
  return {
    amphoraId: AMPHORA_ID,
    address: MANAGEMENT.amphora,
    directory,
    serverCa: pki('server_ca.cert.pem'),
    serverAuthority: authority('server_ca'),
    clientAuthority: authority('client_ca'),
    certificates: {
      controller: pki('controller.cert-and-key.pem'),
      intruder: pki('intruder.cert-and-key.pem'),
    },
  };
};
