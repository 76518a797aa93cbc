import { z } from 'zod';
import { defaultTaskQueue } from './deployment.js';
import { ImageRef } from './names.js';

const Url = z.url();

/** A Docker engine that runs replicas. */
export const NodeConfig = z.object({
  name: z.string(),
  /** `unix:///path/docker.sock` or `tcp://host:port`. */
  docker: z.string(),
  /** `host:port` of the registry as this node reaches it. */
  registry: z.string(),
  /** Host that published ports are reached at from the gateway. */
  address: z.string().default('127.0.0.1'),
  /** Ports that replicas are published on. Fixed per container, so that a restart keeps it. */
  ports: z.tuple([z.number().int(), z.number().int()]).default([20_000, 29_999]),
  /** May replicas open connections to the outside? `none`: weights and source are code, and answer only. */
  egress: z.enum(['none', 'open']).default('none'),
});
export type NodeConfig = z.infer<typeof NodeConfig>;

/** The Kubernetes cluster that deployments with `target: "kubernetes"` go to. */
export const ClusterConfig = z.object({
  /** File to connect with; null inside a cluster: the pod's own service account. */
  kubeconfig: z.string().nullable(),
  /** Context of that file; left out: its current one. */
  context: z.string().optional(),
  /** Namespace of services whose deployments name none. */
  namespace: z.string().default('default'),
  /** The only namespaces that Slipway looks at and ships to; left out: all. */
  namespaces: z.array(z.string()).min(1).optional(),
  /** `host:port` of the registry as the cluster's nodes reach it. */
  registry: z.string(),
  /** Make an imagePullSecret of the registry's credentials; `false` where nodes have their own. */
  pullSecret: z.boolean().default(true),
  /** How gateways and workers reach pods: from outside by NodePort, in the cluster by Service DNS. */
  reach: z.enum(['nodePort', 'service']).default('nodePort'),
  /** Host that NodePorts are reached at; left out: the first node's internal address. */
  address: z.string().optional(),
  /**
   * May pods of models open connections? `none`: a NetworkPolicy keeps them from it, where the cluster's network enforces
   * such. What another policy allows of these pods, they may.
   */
  egress: z.enum(['none', 'open']).default('none'),
  /** Folders of nodes that deployments may mount; none by default. */
  hostPaths: z.array(z.string()).default([]),
});
export type ClusterConfig = z.infer<typeof ClusterConfig>;

/** Passed into builds, never left in an image. */
export const BuildConfig = z.object({
  /** PEM file with the certificate authorities that builds trust. */
  caBundle: z.string().optional(),
  pipIndex: z.string().optional(),
  httpProxy: z.string().optional(),
  httpsProxy: z.string().optional(),
  noProxy: z.string().optional(),
  /** `host` where the engine's bridge has no way out. */
  network: z.enum(['default', 'host']).default('default'),
});
export type BuildConfig = z.infer<typeof BuildConfig>;

/** What analyses of canaries may ask. */
export const AnalysisConfig = z.object({
  /**
   * Origins (`http://localhost:9090`), addresses (`::1`) and ranges (`127.0.0.0/8`) that a Prometheus of a deployment
   * may be at although they are the worker's own machine, its link or its cloud's metadata. All others it may be at anyway.
   */
  allow: z
    .array(
      z
        .string()
        .refine(
          (entry) =>
            [z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()].some((kind) => kind.safeParse(entry).success) ||
            (z.url({ protocol: /^https?$/ }).safeParse(entry).success &&
              new URL(entry).href === `${new URL(entry).origin}/`),
          'must be an origin, an address or a range, as in "http://localhost:9090" or "127.0.0.0/8"',
        ),
    )
    .default([]),
});
export type AnalysisConfig = z.infer<typeof AnalysisConfig>;

/** The Temporal server that workflows run on. All files are read when a process connects. */
export const TemporalConfig = z.object({
  /** `host:port` of its gRPC frontend. */
  address: z.string(),
  namespace: z.string(),
  /** Queue that workers take workflows and activities from. */
  taskQueue: z.string().min(1).default(defaultTaskQueue),
  /** For links; empty where there is none. */
  ui: z.string(),
  /** Left out: plain, unless there is an API key. */
  tls: z
    .object({
      /** PEM file of the authorities that may have signed its certificate; left out: those that Node.js trusts. */
      caFile: z.string().optional(),
      /** PEM files of the certificate and key that a process shows it, for mTLS. */
      client: z.object({ certificateFile: z.string(), keyFile: z.string() }).optional(),
      /** Name that its certificate is made out to, if not the host of `address`. */
      serverName: z.string().optional(),
    })
    .optional(),
  /** File of the API key that every request carries, as Temporal Cloud issues them. */
  apiKeyFile: z.string().optional(),
  /** Encrypts what it keeps of deployments: inputs, results, failures with their stack traces. Left out: kept in clear. */
  encryption: z
    .object({
      /** The first encrypts, each decrypts: a new key goes first once every process knows it. */
      keys: z
        .array(
          z.object({
            /** Stands in clear beside what the key has encrypted. */
            id: z.string().regex(/^[\w.-]{1,63}$/, 'must be at most 63 letters, digits, "-", "_" or "."'),
            /** File with 32 random bytes in base64, as `openssl rand -base64 32` makes one; not readable for all. */
            file: z.string(),
          }),
        )
        .min(1)
        .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, {
          message: 'must have each id once',
        }),
    })
    .optional(),
});
export type TemporalConfig = z.infer<typeof TemporalConfig>;

/** Limits on uploaded archives. */
export const ArchiveLimits = z.object({
  /** Unpacked bytes of all entries together. */
  maxTotalBytes: z.number().default(512 * 2 ** 30),
  maxEntries: z.number().default(100_000),
  /** Unpacked : packed bytes of one entry, judged above 1 MiB unpacked. */
  maxRatio: z.number().default(200),
});
export type ArchiveLimits = z.infer<typeof ArchiveLimits>;

/**
 * Configuration of every Slipway process, written by `slipway up` to `.slipway/stack.json` (mode 0600).
 * The first block is what users and scripts may rely on.
 */
export const Stack = z.object({
  api: Url,
  gateway: Url,
  token: z.string(),
  temporal: TemporalConfig,
  s3: z.object({ endpoint: Url, accessKey: z.string(), secretKey: z.string(), bucket: z.string() }),
  registry: z.object({
    url: Url,
    /** First part of the names of all repositories that images are pushed to. */
    prefix: z
      .string()
      .regex(
        /^[a-z0-9]+(?:[._/-][a-z0-9]+)*$/,
        'must be parts of a-z, 0-9 with single ".", "_", "-" or "/" between them',
      )
      .default('slipway'),
    username: z.string(),
    password: z.string(),
    /** Credentials that may read only: nodes pull with them, and clusters hold them. Left out: those above. */
    pull: z.object({ username: z.string().min(1), password: z.string() }).optional(),
  }),
  postgres: z.string(),
  /** Engine that builds source images; empty: there is none, and deployments of new sources fail at the build. */
  docker: z.string(),
  /** `host:port` of the registry as that engine reaches it, where it is none of `nodes`; left out: that of `registry`. */
  dockerRegistry: z.string().optional(),
  kubeconfig: z.string().nullable().default(null),

  /** Base image that source images are built on. */
  base: ImageRef,
  /** None: `target: "docker"` is refused. */
  nodes: z.array(NodeConfig),
  /** Null: there is no cluster, and `target: "kubernetes"` is refused. */
  cluster: ClusterConfig.nullable().default(null),
  build: BuildConfig.prefault({}),
  archives: ArchiveLimits.prefault({}),
  analysis: AnalysisConfig.optional(),
  /** Folder of the content-addressed cache, and its size bound in bytes. */
  cache: z.object({ path: z.string(), maxBytes: z.number().default(50 * 2 ** 30) }),
  /** Folder for what the gateway remembers across restarts. */
  state: z.string(),
  /** Explicit consent to serve pickle/joblib files, which run the code they contain. */
  allowPickle: z.boolean().default(false),
  /** Name of this installation, in the labels of what it makes. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/),
  /** Where the servers listen, if not at the hosts and ports of `api` and `gateway`: in a container. */
  listen: z.object({ host: z.string(), api: z.number().int(), gateway: z.number().int() }).optional(),
  /** `address:port`, the address a number, that a worker serves its metrics at, for Prometheus; left out: it serves none. */
  workerMetrics: z
    .string()
    .regex(
      /^(\d+(\.\d+){3}|\[[0-9a-fA-F:]+\]):\d+$/,
      'must be an IP address and a port, as in "127.0.0.1:7808"',
    )
    .optional(),
  /** Longest in-flight requests may take once their replica drains. */
  drain: z.string().default('30s'),
});
export type Stack = z.infer<typeof Stack>;
