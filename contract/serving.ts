/** The serving contract: what every image that Slipway builds answers, inside the container. */
export const serving = {
  health: '/healthz',
  ready: '/readyz',
  predict: '/predict',
  load: '/load',
  unload: '/unload',
  metrics: '/metrics',
  modelPath: '/app/model',
  sourcePath: '/app/src',
} as const;

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
