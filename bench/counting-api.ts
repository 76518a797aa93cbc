import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, request as plain, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request as encrypted } from 'node:https';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { stringify } from 'yaml';

/** One request that was made of a cluster's API. */
export type ApiRequest = {
  /** `get`, `list`, `watch`, `create`, `apply`, `patch`, `update`, `delete`. */
  verb: string;
  /** `deployments`, `deployments/scale`; `discovery` for what is no object. */
  resource: string;
};

/** A cluster's API in front of which every request is counted, whoever makes it. */
export type CountingApi = {
  /** Writes a kubeconfig for it. Who uses that needs no credentials. */
  writeKubeconfig: (file: string) => Promise<void>;
  /** Requests, and bytes of answers, since this was last asked. */
  take: () => { requests: ApiRequest[]; received: number };
  close: () => Promise<void>;
};

/** Passes everything on to the cluster of that kubeconfig, with its credentials. Listens on loopback only. */
export async function countingApi(kubeconfigFile: string): Promise<CountingApi> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(kubeconfigFile);
  const cluster = kubeconfig.getCurrentCluster();
  if (cluster === null) throw new Error(`"${kubeconfigFile}" has no current cluster`);
  const there = new URL(cluster.server);
  const options: Parameters<KubeConfig['applyToHTTPSOptions']>[0] = {};
  await kubeconfig.applyToHTTPSOptions(options);
  // What the kubeconfig says of certificates, with connections that are kept.
  const agent =
    options.agent instanceof Agent
      ? new Agent({ ...options.agent.options, keepAlive: true, maxSockets: 64 })
      : undefined;
  let requests: ApiRequest[] = [];
  let received = 0;

  const pass = (from: IncomingMessage, to: ServerResponse): void => {
    const target = {
      host: there.hostname,
      port: there.port,
      method: from.method,
      path: from.url,
      headers: { ...from.headers, ...(options.headers as Record<string, string>), host: there.host },
      ...(agent && { agent }),
    };
    const onward = (there.protocol === 'https:' ? encrypted : plain)(target, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      // A watch that has nothing to say yet has begun nevertheless.
      to.flushHeaders();
      answer.on('data', (bytes: Buffer) => {
        received += bytes.length;
      });
      answer.on('error', () => to.destroy());
      answer.pipe(to);
    });
    onward.on('error', () => to.destroy());
    to.on('close', () => onward.destroy());
    from.pipe(onward);
  };
  const server = createServer((from, to) => {
    requests.push(describeRequest(from.method ?? 'GET', from.url ?? '/', from.headers['content-type']));
    pass(from, to);
  });
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const name = 'counted';

  return {
    writeKubeconfig: (file) =>
      writeFile(
        file,
        stringify({
          apiVersion: 'v1',
          kind: 'Config',
          // The Node.js client takes a server without TLS only when told that nothing is verified.
          clusters: [
            { name, cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
          ],
          users: [{ name, user: {} }],
          contexts: [{ name, context: { cluster: name, user: name } }],
          'current-context': name,
        }),
        { mode: 0o600 },
      ),
    take: () => {
      const taken = { requests, received };
      requests = [];
      received = 0;
      return taken;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      agent?.destroy();
    },
  };
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#api-verbs */
export function describeRequest(method: string, url: string, contentType = ''): ApiRequest {
  const { pathname, searchParams } = new URL(url, 'http://api');
  const path =
    /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)\/(?:namespaces\/[^/]+\/)?(?<kind>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<sub>[^/]+))?)?$/;
  const { kind, name, sub } = path.exec(pathname)?.groups ?? {};
  if (kind === undefined) return { verb: 'get', resource: 'discovery' };
  const resource = sub === undefined ? kind : `${kind}/${sub}`;
  const verbs: Record<string, string> = { POST: 'create', PUT: 'update', DELETE: 'delete', PATCH: 'patch' };
  if (method === 'PATCH' && contentType.startsWith('application/apply-patch'))
    return { verb: 'apply', resource };
  if (method !== 'GET') return { verb: verbs[method] ?? method, resource };
  if (searchParams.get('watch') === 'true' || searchParams.get('watch') === '1')
    return { verb: 'watch', resource };
  return { verb: name === undefined ? 'list' : 'get', resource };
}

/** `watch pods`, `2 × get deployments`, … in the order of their first one. */
export function summarize(requests: ApiRequest[]): string[] {
  const counts = new Map<string, number>();
  for (const { verb, resource } of requests) {
    const key = `${verb} ${resource}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => (count === 1 ? key : `${count} × ${key}`));
}
