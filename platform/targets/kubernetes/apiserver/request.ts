import http from 'node:http';
import https from 'node:https';
import { ApiException } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';

/** Milliseconds until the apiserver must have begun to answer. */
const answerTimeout = 10_000;
/** Milliseconds without a word until the operating system asks whether the other side is still there. */
const keepAlive = 5_000;

export type Query = Record<string, string | number | undefined>;

/**
 * Opens a GET to the apiserver; the caller reads the answer's body. Throws `ApiException` with the apiserver's own
 * words for anything but success, otherwise what became of the connection. Ends at once when `signal` aborts.
 * The library's `Watch` cannot be ended before the apiserver has begun to answer (one that is stopped never does), and
 * keeps the text of an error to itself.
 * @param silence milliseconds without a byte after which the connection is taken for dead
 */
export async function open(
  { kubeconfig }: Pick<Cluster, 'kubeconfig'>,
  path: string,
  query: Query,
  signal: AbortSignal,
  silence = answerTimeout,
): Promise<http.IncomingMessage> {
  const server = kubeconfig.getCurrentCluster()?.server;
  if (server === undefined) throw new Error('the kubeconfig has no current cluster');
  const url = new URL(server.replace(/\/$/, '') + path);
  for (const [key, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(key, String(value));
  const { agent, headers } = await kubeconfig.applyToFetchOptions({});
  signal.throwIfAborted();
  kubeconfig.requests.count('GET', url.href);
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request = (url.protocol === 'http:' ? http : https).get(url, {
      agent: agent as https.Agent,
      headers: { ...Object.fromEntries(headers as Iterable<[string, string]>), accept: 'application/json' },
      signal,
    });
    const timer = setTimeout(() => request.destroy(silent(url, answerTimeout)), answerTimeout);
    request.on('socket', (socket) => socket.setKeepAlive(true, keepAlive));
    request.on('response', (answer) => {
      clearTimeout(timer);
      request.setTimeout(silence, () => answer.destroy(silent(url, silence)));
      resolve(answer);
    });
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return response;
  const body = await textOf(response, 65_536);
  throw new ApiException(status, response.statusMessage ?? '', body, {});
}

const silent = (url: URL, time: number) => new Error(`${url.host} was silent for ${time / 1000} s`);

/** An answer's body, or its first `most` characters. */
export async function textOf(response: http.IncomingMessage, most = Infinity): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length >= most) return text.slice(0, most);
  }
  return text;
}
