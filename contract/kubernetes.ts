import { z } from 'zod';
import { Quantity } from './quantities.js';

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names */
const DnsLabel = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a DNS label: a-z, 0-9 and "-", at most 63');
const DnsName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'must be a DNS name: a-z, 0-9, "-" and "."');
/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
const LabelKey = z
  .string()
  .max(317)
  .regex(/^(?:[a-z0-9.-]+\/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/, 'must be a label key');
const LabelValue = z
  .string()
  .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/, 'must be a label value');
const EnvName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable')
  .refine((name) => !/^(?:SLIPWAY_|MODEL_NAME$|MODEL_TYPE$)/.test(name), 'is set by Slipway');
const AbsolutePath = z
  .string()
  .regex(/^\/[^\0]*$/, 'must be an absolute path')
  .refine((path) => !path.split('/').includes('..'), 'must not contain ".."');

const Ingress = z.strictObject({
  /** IngressClass; left out: the cluster's default. */
  class: DnsName.optional(),
  host: DnsName.optional(),
  /**
   * Requests to this path and below are the service's. They reach it unchanged, and it answers below the path as below
   * `/`; one that ends in `/predict`, such as `/inference/predict`, is for predictions alone.
   */
  path: AbsolutePath.default('/'),
  /** Name of the Secret with certificate and key for `host`. */
  tlsSecret: DnsName.optional(),
  annotations: z.record(LabelKey, z.string().max(10_000)).default({}),
});

const Autoscaling = z
  .strictObject({
    min: z.number().int().min(1).max(1_000),
    max: z.number().int().min(1).max(1_000),
    /** Mean CPU use in percent of what is asked for that is aimed at. */
    cpu: z.number().int().min(1).max(100).default(80),
  })
  .refine(({ min, max }) => min <= max, { message: 'min must not be above max' });

const Toleration = z.strictObject({
  key: LabelKey.optional(),
  operator: z.enum(['Exists', 'Equal']).default('Equal'),
  value: LabelValue.optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  tolerationSeconds: z.number().int().nonnegative().optional(),
});

const Volume = z
  .strictObject({
    name: DnsLabel,
    mountPath: AbsolutePath.refine(
      (path) => !/^\/(?:app|proc|sys|dev)?(?:\/|$)/.test(path),
      'must not be "/" or below /app, /proc, /sys or /dev',
    ),
    readOnly: z.boolean().default(true),
    claim: DnsName.optional(),
    /** Folder of the node; must be allowed by the installation's configuration. */
    hostPath: AbsolutePath.optional(),
    /** Empty folder in memory of at most this size. */
    memory: Quantity.optional(),
  })
  .refine(
    ({ claim, hostPath, memory }) =>
      [claim, hostPath, memory].filter((kind) => kind !== undefined).length === 1,
    { message: 'must have exactly one of "claim", "hostPath" and "memory"' },
  );

const EnvFromSecret = z.strictObject({ name: EnvName, secret: DnsName, key: z.string().min(1).max(253) });

/** What is asked of a cluster beyond what every target does. Only with `target: "kubernetes"`. */
export const KubernetesSpec = z.strictObject({
  /** Left out: the installation's. */
  namespace: DnsLabel.optional(),
  ingress: Ingress.optional(),
  autoscaling: Autoscaling.optional(),
  /** Replicas that a drained node must leave: a number or a share such as `50%`. Default: all but one. */
  minAvailable: z.union([z.number().int().nonnegative(), z.string().regex(/^\d{1,3}%$/)]).optional(),
  gpus: z
    .strictObject({
      resource: LabelKey.default('nvidia.com/gpu'),
      count: z.number().int().min(1).max(64),
    })
    .optional(),
  nodeSelector: z.record(LabelKey, LabelValue).default({}),
  tolerations: z.array(Toleration).max(50).default([]),
  volumes: z.array(Volume).max(20).default([]),
  /** Environment from Secrets of the namespace; values never pass through Slipway. */
  env: z.array(EnvFromSecret).max(100).default([]),
  /** Keep replicas apart on nodes as far as possible. */
  spread: z.boolean().default(true),
});
export type KubernetesSpec = z.infer<typeof KubernetesSpec>;
