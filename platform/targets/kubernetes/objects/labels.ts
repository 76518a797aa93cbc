/** Who applies: https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers */
export const fieldManager = 'slipway';

/** Labels: what objects are found by. Values are DNS labels or service names, at most 63 characters. */
export const labels = {
  managedBy: 'app.kubernetes.io/managed-by',
  name: 'app.kubernetes.io/name',
  /** Which installation's: several can share one cluster. */
  stack: 'slipway.dev/stack',
  service: 'slipway.dev/service',
  model: 'slipway.dev/model',
  /** The Deployment that a Pod, ReplicaSet or Service belongs to; what Services select by. */
  workload: 'slipway.dev/workload',
  /** Fencing token of the deployment that made it. */
  token: 'slipway.dev/token',
  /** `serve` or `check`. */
  role: 'slipway.dev/role',
} as const;

/** Annotations: what people and a recovery read. */
export const annotations = {
  release: 'slipway.dev/release',
  /** `repository@sha256:…`, without a host. */
  image: 'slipway.dev/image',
  /** Workflow and run id of the deployment. */
  deployment: 'slipway.dev/deployment',
  run: 'slipway.dev/run',
  /** Highest fencing token whose deployment was taken back: no attempt under it may change this object any more. */
  fence: 'slipway.dev/fence',
  /** Fencing token of the deployment that changed this object last. */
  changed: 'slipway.dev/changed',
  /** Number of replicas that a live Deployment had before the deployment in `changed` lowered it. */
  full: 'slipway.dev/full',
  /** On a service's own objects: the Deployment they belong to. */
  workload: 'slipway.dev/workload',
  /** On an HTTPRoute that a canary divides: what it was before. */
  divided: 'slipway.dev/divided',
  /** What somebody had changed by hand, and an undo put back. */
  drift: 'slipway.dev/drift',
} as const;

/**
 * Label of a workload's own pods and of those of the release that follows it, so that one selector finds the two, and
 * not a third that is kept for going back.
 */
export const rollLabel = (workload: string): string => `roll.slipway.dev/${workload}`;
