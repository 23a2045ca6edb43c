// SPDX-License-Identifier: Apache-2.0
// The REST server: mutual TLS, raw bodies, one request per connection, and errors in the contract's words.
import type { Server } from 'node:https';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { AgentError, frameworkError, textOf } from '../../errors.js';
import { type PairFiles, loadPair, watchPair } from '../tls.js';
import { type Answer, type Route, isJson } from './routes.js';
import { boundHandshakes } from './handshakes.js';
import { answerUnrouted } from './unrouted.js';

export interface ServerOptions {
  readonly pair: PairFiles;
  readonly log: FastifyBaseLogger;
  readonly requestReadTimeoutSeconds: number;
  readonly limits?: Limits;
}

export type Api = ReturnType<typeof createServer>;

/** The reference has no limit; this one is what a small amphora can hold in memory, twice what a config may be. */
const BODY_LIMIT_BYTES = 64 * 1024 * 1024;
/** How long and how many strangers may wait. */
export interface Limits {
  /** From the connection to the client's certificate. */
  readonly handshakeMs: number;
  /** From the connection to the last header. A body has the request's own time, a minute for slow controllers. */
  readonly headersMs: number;
  /** Connections without a finished handshake; beyond it the oldest is closed. */
  readonly openHandshakes: number;
}

/** No controller needs a second for either. */
const LIMITS: Limits = { handshakeMs: 20_000, headersMs: 20_000, openHandshakes: 256 };
/** Longer than a request line may be: the router would say 414, which the controller takes for success (P4). */
const MAX_PARAM_LENGTH = 64 * 1024;
/** Time to hear a refusal before the connection goes. */
const LINGER_MS = 1000;
const INTERNAL =
  'The server encountered an internal error and was unable to complete your request. Either the ' +
  'server is overloaded or there is an error in the application.';

/** Throws when the certificate pair cannot be loaded now; later changes of the files are picked up. */
export const createServer = (routes: readonly Route[], options: ServerOptions) => {
  const { handshakeMs, headersMs, openHandshakes } = options.limits ?? LIMITS;
  const app = Fastify<Server>({
    https: {
      ...loadPair(options.pair),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: handshakeMs,
      headersTimeout: headersMs,
      connectionsCheckingInterval: headersMs / 10,
      requireHostHeader: false, // its absence would be answered without a body
    },
    // What is pipelined behind a request would be carried out, and nobody would hear the answer.
    maxRequestsPerSocket: 1,
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: options.requestReadTimeoutSeconds * 1000,
    forceCloseConnections: 'idle',
    // User data restarts the agent seconds after its first start: who is heard is answered, and to everybody else a
    // connection that fails is no answer but a reason to ask again, as 503 is not.
    return503OnClosing: false,
    clientErrorHandler: refuseBrokenRequest,
    // The controller's client joins a base URL that ends in a slash with a path that is one (P1). The reference's
    // server drops all but one slash at the beginning of every path.
    rewriteUrl: (request) => (request.url ?? '/').replace(/^\/+/, '/'),
    schemaController: {
      compilersFactory: { buildValidator: refuseSchema, buildSerializer: refuseSchema },
    },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // The router's own refusals, of targets that it cannot decode for instance.
    frameworkErrors: (error, _request, reply) => {
      const { status, body } = frameworkError('REQUEST_INVALID', error.message);
      void send(reply.header('connection', 'close'), { status, body }); // no hook runs for them
    },
  });
  const changedPair = watchPair(options.pair, (error) => {
    options.log.error({ err: error }, 'certificate pair is not usable, the last good one stays');
  });
  // Before the TLS layer's own listener, so that this very handshake has the new pair.
  app.server.prependListener('connection', () => {
    const pair = changedPair();
    if (pair) app.server.setSecureContext(pair);
  });
  boundHandshakes(app.server, openHandshakes);
  // Node would answer 417 to an expectation that it does not know, which the controller takes for success (P4).
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response);
  });
  // Uploads come without a content type (P6), and no type may lead to a 415 (P4).
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  // An idle kept connection that closes under a request makes the client send it twice (P3).
  app.addHook('onRequest', async (request, reply) => {
    await Promise.resolve();
    void reply.header('connection', 'close');
    // A type that the framework cannot read would be refused before the body is: the client, still sending, would
    // get a reset and no answer. What is not JSON has no type, then (contract 1.1).
    const { headers } = request.raw;
    if (isJson(headers['content-type'] ?? '')) headers['content-type'] = 'application/json';
    else delete headers['content-type'];
  });
  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path,
      handler: async (request, reply) => {
        const parsed = requestOf(request);
        if (!Object.values(parsed.params).every(isSegment))
          return answerUnrouted(routes, request, reply);
        return send(reply, await route.handle(parsed));
      },
    });
  }
  app.setNotFoundHandler((request, reply) => answerUnrouted(routes, request, reply));
  app.setErrorHandler((error, request, reply) => {
    const known = knownError(error);
    if (known.status >= 500) request.log.error({ err: error }, 'request failed');
    else request.log.info({ url: request.url, body: known.body }, 'request refused');
    return send(reply, { status: known.status, body: known.body });
  });
  return app;
};

/** The core's parsers check bodies. Without fastify's compilers of schemas the agent is smaller by megabytes. */
const refuseSchema = (): never => {
  throw new Error('no route has a schema');
};

/** The router lets a parameter be empty or hold an encoded slash; the reference's does not. */
const isSegment = (value: string): boolean => value !== '' && !value.includes('/');

const requestOf = (request: FastifyRequest) => ({
  params: request.params as Readonly<Record<string, string>>,
  body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
  contentType: request.headers['content-type'] ?? '',
});

/** Buffers, because fastify would add a charset to the content type of text, which the reference has not. */
const send = (reply: FastifyReply, answer: Answer): FastifyReply => {
  if (answer.etag !== undefined) void reply.header('etag', answer.etag);
  const [type, payload] =
    answer.text === undefined
      ? ['application/json', JSON.stringify(answer.body)]
      : ['text/plain; charset=UTF-8', answer.text];
  return reply.code(answer.status).header('content-type', type).send(Buffer.from(payload));
};

/** Fastify's own refusals (a body too large, a broken content type) become 400: see P4. */
const knownError = (error: unknown): AgentError => {
  if (error instanceof AgentError) return error;
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : 500;
  return typeof status === 'number' && status >= 400 && status < 500
    ? frameworkError('REQUEST_INVALID', textOf(error))
    : frameworkError('INTERNAL', INTERNAL);
};

/** Node would say 408 or 431 here, which the controller takes for success (P4). */
const refuseBrokenRequest = (error: Error, socket: Socket): void => {
  // Also told of handshakes that fail or take too long. Words would wait there for ever, and the socket with them.
  if (!(socket instanceof TLSSocket && socket.authorized && socket.writable)) {
    socket.destroy();
    return;
  }
  const { status, body } = frameworkError('REQUEST_INVALID', error.message);
  const payload = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(payload)}\r\nConnection: close\r\n\r\n${payload}`,
  );
  // The parser has given up on the connection, so nobody would notice that the other side has left it.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
};
