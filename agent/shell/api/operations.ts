// SPDX-License-Identifier: Apache-2.0
// The operations of the contract, in its order.
import type { Amphora } from '../../amphora.js';
import type { CheckOptions } from '../checks.js';
import type { Network } from '../network.js';
import type { Store } from '../store.js';
import { certificateRoutes } from './certificate.js';
import { configRoutes } from './config.js';
import { type InfoOptions, infoRoutes } from './info.js';
import { loadBalancerRoutes } from './loadbalancer.js';
import { plugRoutes } from './plug.js';
import type { Route } from './routes.js';
import { vrrpRoutes } from './vrrp.js';

export interface OperationParts {
  readonly amphora: Amphora;
  readonly store: Store;
  readonly network: Pick<Network, 'interfaceOf'>;
  readonly info: InfoOptions;
  readonly checks: CheckOptions;
  /** The agent's own certificate file. */
  readonly serverCert: string;
  readonly replaceConfig: (text: string) => Promise<void>;
}

export const operations = (parts: OperationParts): readonly Route[] => [
  ...infoRoutes(parts.amphora, parts.info),
  ...plugRoutes(parts.amphora, parts.network),
  ...loadBalancerRoutes(parts.amphora, parts.store, parts.checks),
  ...certificateRoutes(parts.amphora, parts.store, parts.serverCert),
  ...vrrpRoutes(parts.amphora),
  ...configRoutes(parts.amphora, parts.replaceConfig),
];
