/** The serving contract: what every image that Slipway builds answers, inside the container. */
export const serving = {
  health: '/healthz',
  ready: '/readyz',
  /** The same without loading a model that was unloaded: it is ready, for a prediction will load it. */
  readyAsIs: '/readyz?load=false',
  predict: '/predict',
  load: '/load',
  unload: '/unload',
  metrics: '/metrics',
  modelPath: '/app/model',
  sourcePath: '/app/src',
} as const;

/**
 * How connections outlive a replica behind a Service, in milliseconds. A gateway keeps none that is idle for longer than
 * `idle`. After SIGTERM the replica still takes requests for `linger` (`SLIPWAY_LINGER`, in seconds), each answered on a
 * connection that then closes: what is open after that has been idle for longer than a gateway keeps it. It ends sooner
 * when nobody has been connected for a second; who comes later is refused, and the gateway tries again.
 */
export const connections = { idle: 4_000, linger: 6_000 } as const;

/** Labels on containers and images; state can be recovered from them alone. */
export const labels = {
  managed: 'slipway.managed',
  /** Which installation's containers these are: several can share one engine. */
  stack: 'slipway.stack',
  service: 'slipway.service',
  release: 'slipway.release',
  token: 'slipway.token',
  image: 'slipway.image',
  deployment: 'slipway.deployment',
  /** `serve`, `check` (a source check, never routed) or `pin` (never started; holds an image for rollback). */
  role: 'slipway.role',
  /** Host port the container is published on; fixed for its life. */
  port: 'slipway.port',
  /** Digest of everything the container was made from: a retry reuses only what is the same. */
  spec: 'slipway.spec',
} as const;
