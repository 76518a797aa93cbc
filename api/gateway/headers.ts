import type { IncomingHttpHeaders } from 'node:http';

/** Headers that concern one connection only. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1 */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
/** `host` is the replica's own; `expect` has been answered here; a model has no business with credentials. */
const notForReplicas = ['host', 'expect', 'authorization', 'cookie'];

/** Headers of a request as they go on to a replica. */
export const toReplica = (headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  without(headers, [...hopByHop, ...notForReplicas]);

/** Headers of an answer as they go back to the client. */
export const toClient = (headers: IncomingHttpHeaders): IncomingHttpHeaders => without(headers, hopByHop);

function without(headers: IncomingHttpHeaders, names: string[]): IncomingHttpHeaders {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const dropped = new Set([...names, ...named]);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.has(name)));
}
