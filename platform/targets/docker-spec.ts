import { createHash } from 'node:crypto';
import type Docker from 'dockerode';
import { bytes } from '../../contract/quantities.js';
import { labels } from '../../contract/serving.js';
import type { LocalImage } from './docker-pull.js';
import { networkName } from './docker-network.js';
import type { Node } from './docker-node.js';
import type { PlannedReplica, ReplicaSet } from './index.js';

/** What holds for every container of an installation. */
export type Installation = {
  /** Its name, in labels and container names. */
  stack: string;
  /** Explicit consent to load pickle/joblib files. */
  allowPickle: boolean;
  /** Milliseconds a container gets between SIGTERM and SIGKILL. */
  drain: number;
};

/** User that runs a container whose image names none or root; "nonroot" in many base images. */
const unprivileged = '65532:65532';

/**
 * Everything a replica's container is made from, but its host port. Model code is foreign code: it gets
 * no root, no capabilities, no way to gain either, a read-only file system, and bounded memory, processor,
 * processes and logs.
 */
export function containerSpec(
  installation: Installation,
  node: Node,
  set: ReplicaSet,
  replica: PlannedReplica,
  image: LocalImage,
): Docker.ContainerCreateOptions {
  const { spec, grant } = set;
  const memory = bytes(spec.resources.memory);
  const port = `${spec.port}/tcp`;
  return {
    name: replica.name,
    Image: image.reference,
    User: isRoot(image.user) ? unprivileged : image.user,
    Env: [
      `MODEL_NAME=${set.model}`,
      `MODEL_TYPE=${spec.recipe}`,
      `SLIPWAY_PORT=${spec.port}`,
      `SLIPWAY_DRAIN=${Math.max(1, Math.ceil(installation.drain / 1000))}`,
      ...(spec.load === undefined ? [] : [`SLIPWAY_LOAD=${spec.load}`]),
      ...(installation.allowPickle ? ['SLIPWAY_ALLOW_PICKLE=1'] : []),
    ],
    Labels: {
      [labels.managed]: 'true',
      [labels.stack]: installation.stack,
      [labels.service]: grant.service,
      [labels.release]: set.release,
      [labels.token]: String(grant.token),
      [labels.image]: `${set.image.repository}@${set.image.digest}`,
      [labels.deployment]: grant.deployment.workflowId,
      [labels.role]: set.role,
    },
    ExposedPorts: { [port]: {} },
    StopTimeout: Math.ceil(installation.drain / 1000),
    HostConfig: {
      // A check runs once; a replica comes back after a crash and after a reboot.
      RestartPolicy: { Name: set.role === 'check' ? 'no' : 'unless-stopped' },
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: Math.round(spec.resources.cpu * 1e9),
      PidsLimit: 1024,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'rw,nosuid,nodev,exec,mode=1777' },
      Init: true,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
      ...(node.config.egress === 'none' && {
        NetworkMode: networkName(installation.stack),
        // Names outside cannot be resolved without a way out; say so soon instead of after 10 s.
        DnsOptions: ['timeout:1', 'attempts:1'],
      }),
    },
  };
}

const isRoot = (user: string): boolean => /^(?:|root|0+)(?::.*)?$/.test(user);

/** Digest of a container's whole specification; the name an image goes by on a node is no part of it. */
export function specDigest({ Image: _, ...spec }: Docker.ContainerCreateOptions): string {
  return `sha256:${createHash('sha256').update(JSON.stringify(spec)).digest('hex')}`;
}

/** The specification with its own digest and a host port, both also as labels. */
export function publish(
  spec: Docker.ContainerCreateOptions,
  containerPort: number,
  host: { ip: string; port: number },
): Docker.ContainerCreateOptions {
  return {
    ...spec,
    Labels: { ...spec.Labels, [labels.spec]: specDigest(spec), [labels.port]: String(host.port) },
    HostConfig: {
      ...spec.HostConfig,
      PortBindings: { [`${containerPort}/tcp`]: [{ HostIp: host.ip, HostPort: String(host.port) }] },
    },
  };
}
