import type {
  V1Container,
  V1EnvVar,
  V1PodSpec,
  V1Probe,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import { milliseconds } from '../../../../contract/quantities.js';
import { connections, serving } from '../../../../contract/serving.js';
import type { ReplicaSet } from '../../index.js';
import type { Cluster, ImageFacts } from '../cluster.js';
import { labels } from './labels.js';
import { accountName, pullSecretName } from './pull-secret.js';
import { canonical } from './quantity.js';

/** User that runs an image which names none, root, or one without a number; "nonroot" in many base images. */
const unprivileged = 65_532;
/** Group that volumes are made writable for. */
const group = 65_532;
/** Bytes of temporary files, as much as a node gives without being asked. */
const scratch = '2Gi';
/** Seconds a pod goes on serving after it was told to end: proxies and gateways learn of it meanwhile. */
export const lag = 2;
/** Most seconds after that in which it still answers, and closes the connections that clients keep to it. */
const linger = Math.ceil(connections.linger / 1000);
/** Seconds beyond all others before a pod is killed. */
const margin = 5;
/** Seconds the kubelet waits longer than the start-up budget: who waits for the pod says why before it is restarted. */
const patience = 60;

/** Name of the container in every pod. */
export const containerName = 'model';

/**
 * What runs: model code is foreign code. It gets no root, no capabilities, no way to gain either, no token, a read-only
 * file system, and bounded memory and processor. `image` is null where its configuration is not known.
 */
export function podSpec(
  cluster: Cluster,
  set: ReplicaSet,
  workload: string,
  image: ImageFacts | null,
): V1PodSpec {
  const { kubernetes } = set.spec;
  const { nodeSelector = {}, tolerations = [], spread = true } = kubernetes ?? {};
  const volumes = volumesOf(set);
  return {
    serviceAccountName: accountName(cluster.stack),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...(cluster.config.pullSecret && { imagePullSecrets: [{ name: pullSecretName(cluster.stack) }] }),
    securityContext: {
      runAsNonRoot: true,
      ...(image && { runAsUser: userOf(image) }),
      seccompProfile: { type: 'RuntimeDefault' },
      // Of a claim that is only read, the files' groups are the owner's business.
      ...(kubernetes?.volumes.some(({ claim, readOnly }) => claim !== undefined && !readOnly) && {
        fsGroup: group,
        fsGroupChangePolicy: 'OnRootMismatch',
      }),
    },
    terminationGracePeriodSeconds: lag + linger + Math.ceil(cluster.drain / 1000) + margin,
    containers: [container(cluster, set, volumes)],
    volumes: volumes.map(({ volume }) => volume),
    ...(Object.keys(nodeSelector).length > 0 && { nodeSelector }),
    ...(tolerations.length > 0 && {
      tolerations: tolerations.map((one) => JSON.parse(JSON.stringify(one)) as typeof one) as NonNullable<
        V1PodSpec['tolerations']
      >,
    }),
    ...(spread && {
      topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map(
        (topologyKey) => ({
          maxSkew: 1,
          topologyKey,
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { [labels.workload]: workload } },
        }),
      ),
    }),
  };
}

function container(cluster: Cluster, set: ReplicaSet, volumes: Mounted[]): V1Container {
  const { spec, image } = set;
  const { gpus } = spec.kubernetes ?? {};
  const resources = {
    cpu: canonical(String(spec.resources.cpu)),
    memory: canonical(spec.resources.memory),
    ...(gpus && { [gpus.resource]: String(gpus.count) }),
  };
  return {
    name: containerName,
    image: `${cluster.config.registry}/${image.repository}@${image.digest}`,
    imagePullPolicy: 'IfNotPresent',
    env: environment(cluster, set),
    ports: [{ name: 'http', containerPort: spec.port, protocol: 'TCP' }],
    resources: { requests: resources, limits: { ...resources } },
    ...probes(set),
    // By the kubelet: an image need not have a shell.
    lifecycle: { preStop: { sleep: { seconds: lag } } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      privileged: false,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: volumes.map(({ mount }) => mount),
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

/** As on Docker, and what the namespace's Secrets hold. */
function environment({ drain, allowPickle }: Cluster, { model, spec }: ReplicaSet): V1EnvVar[] {
  const base = basePath(spec.kubernetes?.ingress?.path ?? '/');
  const fixed = {
    MODEL_NAME: model,
    MODEL_TYPE: spec.recipe,
    SLIPWAY_PORT: String(spec.port),
    SLIPWAY_LINGER: String(linger),
    SLIPWAY_DRAIN: String(Math.max(1, Math.ceil(drain / 1000))),
    ...(spec.load !== undefined && { SLIPWAY_LOAD: spec.load }),
    ...(base !== '' && { SLIPWAY_BASE_PATH: base }),
    ...(allowPickle && { SLIPWAY_ALLOW_PICKLE: '1' }),
  };
  return [
    ...Object.entries(fixed).map(([name, value]) => ({ name, value })),
    ...(spec.kubernetes?.env ?? []).map(({ name, secret, key }) => ({
      name,
      valueFrom: { secretKeyRef: { name: secret, key } },
    })),
  ];
}

/**
 * What comes before the paths of the serving contract in requests that an Ingress passes on: any controller does that
 * unchanged, and no two rewrite alike. `/inference` for `/inference/predict` as well as for `/inference`.
 */
function basePath(path: string): string {
  const plain = path.replace(/\/+$/, '');
  return plain.endsWith(serving.predict) ? plain.slice(0, -serving.predict.length) : plain;
}

/**
 * Start-up: until the model answers, each second, for as long as the budget allows. From then on readiness decides on
 * traffic, which a model that somebody unloaded goes on getting and is not loaded by, and a process that answers nothing for a minute is restarted.
 */
function probes({
  spec,
}: ReplicaSet): Pick<V1Container, 'startupProbe' | 'readinessProbe' | 'livenessProbe'> {
  const at = (path: string, timing: Omit<V1Probe, 'httpGet'>): V1Probe => ({
    httpGet: { path, port: 'http', scheme: 'HTTP' },
    successThreshold: 1,
    ...timing,
  });
  const budget = Math.ceil(milliseconds(spec.verify.startupBudget) / 1000);
  return {
    startupProbe: at(serving.ready, {
      periodSeconds: 1,
      timeoutSeconds: 2,
      failureThreshold: budget + patience,
    }),
    readinessProbe: at(serving.readyAsIs, { periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 3 }),
    livenessProbe: at(serving.health, { periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6 }),
  };
}

type Mounted = { volume: V1Volume; mount: V1VolumeMount };

function volumesOf({ spec }: ReplicaSet): Mounted[] {
  const asked = spec.kubernetes?.volumes ?? [];
  const own: Mounted = {
    volume: { name: 'slipway-tmp', emptyDir: { sizeLimit: scratch } },
    mount: { name: 'slipway-tmp', mountPath: '/tmp' },
  };
  return [
    ...(asked.some(({ mountPath }) => mountPath === '/tmp') ? [] : [own]),
    ...asked.map(({ name, mountPath, readOnly, claim, hostPath, memory }) => ({
      volume: {
        name,
        ...(claim !== undefined && {
          persistentVolumeClaim: { claimName: claim, ...(readOnly && { readOnly }) },
        }),
        ...(hostPath !== undefined && { hostPath: { path: hostPath } }),
        ...(memory !== undefined && { emptyDir: { medium: 'Memory', sizeLimit: canonical(memory) } }),
      },
      // A folder that begins empty is there to be written to.
      mount: { name, mountPath, ...(memory === undefined && readOnly && { readOnly }) },
    })),
  ];
}

/** A number the kubelet can tell is not root's. */
function userOf({ user }: ImageFacts): number {
  const uid = /^\d+$/.exec(user.split(':')[0] ?? '')?.[0];
  return uid === undefined || Number(uid) === 0 ? unprivileged : Number(uid);
}
