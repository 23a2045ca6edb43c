// SPDX-License-Identifier: Apache-2.0
// Paths and methods that no operation has, answered as the reference's framework does (contract 1.1).
import type { FastifyReply, FastifyRequest } from 'fastify';
import { frameworkError } from '../../errors.js';
import type { Route } from './routes.js';

const NOT_FOUND =
  'The requested URL was not found on the server. If you entered the URL manually please check ' +
  'your spelling and try again.';
const NOT_ALLOWED = 'The method is not allowed for the requested URL.';

/**
 * Throws 404, or 405 when the path has other methods. Answers OPTIONS and, for doubled slashes, a redirect.
 * Always JSON: a 404 of another type makes the controller retry for ten minutes (P5).
 */
export const answerUnrouted = (
  routes: readonly Route[],
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply => {
  const path = pathOf(request.url);
  const allowed = methodsOf(routes, decoded(path));
  if (allowed.length > 0) {
    void reply.header('allow', allowed.join(', '));
    if (request.method !== 'OPTIONS') throw frameworkError('METHOD_NOT_ALLOWED', NOT_ALLOWED);
    return reply.code(200).header('content-type', 'text/html; charset=utf-8').send('');
  }
  const collapsed = path.replaceAll(/\/{2,}/g, '/');
  if (collapsed !== path && methodsOf(routes, collapsed).length > 0) {
    return reply.code(308).header('location', collapsed).send('');
  }
  throw frameworkError('PATH_NOT_FOUND', NOT_FOUND);
};

/** Of a request target that no route took, so it may be anything: `//[`, `*`, `http://[`. */
const pathOf = (target: string): string =>
  target.replace(/^https?:\/\/[^/?#]*/, '').replace(/[?#].*$/s, '');

/** An encoded slash divides segments like any other, as it does where the reference routes. */
const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
};

const methodsOf = (routes: readonly Route[], path: string): string[] => {
  const methods = routes
    .filter((route) => patternOf(route.path).test(path))
    .flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  return methods.length > 0 ? [...new Set([...methods, 'OPTIONS'])].sort() : [];
};

const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll(/:\w+/g, '[^/]+')}$`);
