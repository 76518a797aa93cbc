import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuthorizationV1Api } from '@kubernetes/client-node';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { createRegistry } from '../../platform/images/registry.js';
import { testCluster, type TestCluster } from '../support/cluster.js';
import { Authority } from '../support/certificates.js';
import { pushOwnImage } from '../support/own-image.js';
import { TemporalFront } from '../support/temporal-front.js';
import { makeNamespace } from '../support/temporal-namespace.js';
import { chart, runHelm, withValues, type Values } from './helm.js';

/** Not the one that the tests of `npm run image` push to: they are to send all of it. */
const repository = 'slipway-in-cluster';

export const apiKey = 'an-api-key-that-is-secret';

/**
 * What an installation in the cluster needs, beside the stack: the image in its registry, two namespaces, a Temporal
 * namespace and a database of its own, and the stack's servers in reach of pods; Temporal by TLS, for those who have
 * the certificate and the key that are in Secrets, and keeping nothing in clear.
 */
export class Ground {
  private readonly closing: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly cluster: TestCluster,
    /** Namespace of the release, and of the models. */
    readonly app: string,
    readonly models: string,
    /** Client in the installation's Temporal namespace. */
    readonly temporal: Client,
    /** What pods reach Temporal through. */
    readonly front: TemporalFront,
    readonly values: Values,
  ) {}

  static async open(): Promise<Ground> {
    const cluster = await testCluster();
    const { stack, config, kubectl } = cluster;
    const id = randomBytes(3).toString('hex');
    const [app, models] = [`slipway-${id}`, `models-${id}`];
    for (const namespace of [app, models]) await kubectl(['create', 'namespace', namespace]);
    await kubectl([
      ...['create', 'secret', 'docker-registry', 'pull', '-n', app, '--docker-server', config.registry],
      ...['--docker-username', stack.registry.username, '--docker-password', stack.registry.password],
    ]);
    const digest = await pushOwnImage(createRegistry(stack.registry), repository);

    const connection = await Connection.connect({ address: stack.temporal.address });
    const temporal = new Client({ connection, namespace: app });
    await makeNamespace(temporal, app);
    const database = `chart_${id}`;
    await query(stack.postgres, `create database ${database}`);

    const { front, options } = await secured(cluster, app);
    const ports = [stack.postgres, stack.s3.endpoint].map((address) =>
      Number(/:(\d+)(?:\/|$)/.exec(address)![1]),
    );
    const [temporalFront, postgresFront, s3Front] = await Promise.all(
      [front.port, ...ports].map(cluster.expose),
    );
    const at = ({ host, port }: { host: string; port: number }): string => `${host}:${port}`;
    const catalog = new URL(stack.postgres);
    catalog.host = at(postgresFront!);
    catalog.pathname = `/${database}`;
    const ground = new Ground(cluster, app, models, temporal, front, {
      image: { repository: `${config.registry}/${repository}`, digest, pullSecrets: ['pull'] },
      namespaces: [models],
      stack: {
        temporal: { address: at(temporalFront!), namespace: app, ...options },
        postgres: catalog.href,
        s3: { ...stack.s3, endpoint: `http://${at(s3Front!)}` },
        registry: { ...stack.registry, url: `http://${config.registry}` },
        base: stack.base,
        allowPickle: true,
      },
      // A small machine.
      worker: { resources: { requests: { cpu: '50m', memory: '200Mi' } }, cache: { size: '2Gi' } },
      server: { replicas: 1, service: { type: 'NodePort' } },
    });
    ground.closing.push(
      ...[temporalFront!, postgresFront!, s3Front!, front].map((open) => () => open.close()),
      () => query(stack.postgres, `drop database ${database} with (force)`),
      () => connection.close(),
      ...[app, models].map((name) => () => kubectl(['delete', 'namespace', name, '--wait=false'])),
    );
    return ground;
  }

  async close(): Promise<void> {
    for (const close of this.closing) await close();
  }

  /** `helm install` or `upgrade`, which waits until everything is ready. */
  async install(command: 'install' | 'upgrade', values: Values): Promise<void> {
    await withValues(values, (file) =>
      this.helm(command, 'test', chart, '--values', file, '--wait', '--timeout', '8m'),
    );
  }

  helm(...args: string[]): Promise<string> {
    return runHelm(['--namespace', this.app, ...args], this.cluster.kubeconfig);
  }

  get(what: string, path: string, namespace = this.app): Promise<string> {
    return this.cluster.kubectl(['get', what, '-n', namespace, '-o', `jsonpath=${path}`]);
  }

  /**
   * May an account of the release do this? `what` is as for `kubectl auth can-i`: `deployments.apps`, `secrets/name`; a
   * namespace that is left out stands for all of them.
   */
  async may(
    account: string,
    verb: string,
    what: string,
    { namespace = '', subresource = '' }: { namespace?: string; subresource?: string } = {},
  ): Promise<boolean> {
    const [kind = '', name = ''] = what.split('/');
    const [resource = '', ...group] = kind.split('.');
    const asked = {
      verb,
      resource,
      name,
      subresource,
      namespace,
      group: what === '*' ? '*' : group.join('.'),
    };
    const accounts = 'system:serviceaccounts';
    const { status } = await this.cluster
      .kubeConfig()
      .makeApiClient(AuthorizationV1Api)
      .createSubjectAccessReview({
        body: {
          spec: {
            user: `system:serviceaccount:${this.app}:${account}`,
            groups: [accounts, `${accounts}:${this.app}`, 'system:authenticated'],
            resourceAttributes: asked,
          },
        },
      });
    return status!.allowed;
  }
}

/** TLS in front of the stack's Temporal, Secrets in a namespace to pass it with, and the values that name them. */
async function secured({ stack, kubectl }: TestCluster, namespace: string) {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-tls-'));
  try {
    const authority = await Authority.make(folder, 'authority');
    const server = await authority.sign('server', 'subjectAltName=DNS:temporal.test');
    const client = await authority.sign('client', 'extendedKeyUsage=clientAuth');
    const keyFile = join(folder, 'api-key');
    await writeFile(keyFile, apiKey);
    const create = ['create', '-n', namespace, 'secret'];
    await kubectl([...create, 'generic', 'authority', `--from-file=ca.crt=${authority.caFile}`]);
    await kubectl([...create, 'generic', 'cloud', `--from-file=api-key=${keyFile}`]);
    const payloadKey = join(folder, 'payload-key');
    await writeFile(payloadKey, `${randomBytes(32).toString('base64')}\n`);
    await kubectl([...create, 'generic', 'payloads', `--from-file=one=${payloadKey}`]);
    await kubectl([...[...create, 'tls', 'mtls', '--cert', client.certificateFile, '--key', client.keyFile]]);
    const front = await TemporalFront.start(stack.temporal.address, {
      server,
      clientCaFile: authority.caFile,
    });
    const tls = { ca: { secret: 'authority' }, clientSecret: 'mtls', serverName: 'temporal.test' };
    const encryption = { secret: 'payloads', keys: ['one'] };
    return { front, options: { tls, apiKey: { secret: 'cloud' }, encryption } };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function query(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
