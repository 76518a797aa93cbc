import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiException } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';
import { bound } from './connection.js';
import { KubernetesError, translate } from './errors.js';

type Options = { signal?: AbortSignal | undefined; timeout?: number };

/**
 * Makes calls to the cluster with its clients, each bounded in time (default: 30 s in all) and by `signal`. `doing`
 * says what for: `reading deployment "iris--r7"`. Throws what `translate` makes of a refusal; when `signal` aborts,
 * its reason.
 */
export async function ask<T>(
  cluster: Cluster,
  doing: string,
  call: () => Promise<T>,
  options: Options = {},
): Promise<T> {
  try {
    return await once(cluster, doing, call, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof ApiException) || (error.code !== 401 && error.code !== 403))
      throw translate(cluster, doing, error);
    // An apiserver that has just begun knows neither all users nor all roles yet.
    if (await isStarting(cluster, options.signal))
      throw new KubernetesError(doing, cluster.kubeconfig.host, null, 'the apiserver is still starting');
  }
  try {
    return await once(cluster, doing, call, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw translate(cluster, doing, error);
  }
}

/** The same, but what the cluster does not have (404) is null. */
export async function askFor<T>(...args: Parameters<typeof ask<T>>): Promise<T | null> {
  try {
    return await ask<T>(...args);
  } catch (error) {
    if (error instanceof KubernetesError && error.code === 404) return null;
    throw error;
  }
}

async function once<T>(
  { kubeconfig: { host } }: Cluster,
  doing: string,
  call: () => Promise<T>,
  { signal, timeout = 30_000 }: Options,
): Promise<T> {
  signal?.throwIfAborted();
  const limit = AbortSignal.timeout(timeout);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  try {
    return await bound.run(either, call);
  } catch (error) {
    signal?.throwIfAborted();
    if (limit.aborted)
      throw new KubernetesError(
        doing,
        host,
        null,
        `the cluster at ${host} gave no answer within ${timeout / 1000} s`,
      );
    throw error;
  }
}

/** Says the apiserver itself that it is not ready? It tells everybody; where it does not, it is taken to be ready. */
async function isStarting({ kubeconfig }: Cluster, signal: AbortSignal | undefined): Promise<boolean> {
  const { agent } = await kubeconfig.applyToFetchOptions({});
  const limit = AbortSignal.timeout(5_000);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  kubeconfig.requests.count('GET', `${kubeconfig.host}/readyz`);
  const code = await new Promise<number | undefined>((resolve) => {
    const url = `${kubeconfig.host}/readyz`;
    (url.startsWith('http:') ? http : https)
      .get(url, { agent: agent as never, signal: either }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
      .on('error', () => resolve(undefined));
  });
  if (code !== undefined && code < 500) {
    await sleep(500, undefined, { signal });
    return false;
  }
  return true;
}
