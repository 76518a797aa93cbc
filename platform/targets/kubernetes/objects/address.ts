import { isIPv6 } from 'node:net';
import type { V1Service } from '@kubernetes/client-node';
import { ask } from '../apiserver/ask.js';
import type { Cluster } from '../cluster.js';
import { servicePort } from './workload.js';

/**
 * Base URL that gateways and workers reach a Service at: its name in the cluster, or its NodePort at the configured
 * address or the first node that is ready. Null when the Service has no port on nodes (yet).
 */
export async function urlOf(
  cluster: Cluster,
  { metadata, spec }: V1Service,
  signal?: AbortSignal,
): Promise<string | null> {
  if (cluster.config.reach === 'service')
    return `http://${metadata?.name}.${metadata?.namespace}.svc:${servicePort}`;
  const port = spec?.ports?.[0]?.nodePort;
  if (port === undefined) return null;
  const host = cluster.config.address ?? (await nodeAddress(cluster, signal));
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Where NodePorts are reached: known once, until nodes come and go. */
const known = new WeakMap<Cluster, { host: string; until: number }>();
const rememberFor = 60_000;

async function nodeAddress(cluster: Cluster, signal: AbortSignal | undefined): Promise<string> {
  const remembered = known.get(cluster);
  if (remembered && remembered.until > Date.now()) return remembered.host;
  const { items } = await ask(cluster, 'listing nodes', () => cluster.core.listNode(), { signal });
  const ready = items.filter(({ status }) =>
    status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
  );
  const host = (ready.length > 0 ? ready : items)
    .toSorted((a, b) => (a.metadata?.name ?? '').localeCompare(b.metadata?.name ?? ''))
    .flatMap(({ status }) => status?.addresses ?? [])
    .find(({ type }) => type === 'InternalIP')?.address;
  if (host === undefined)
    throw new Error(`no node of the cluster at ${cluster.kubeconfig.host} has an internal address`);
  known.set(cluster, { host, until: Date.now() + rememberFor });
  return host;
}
