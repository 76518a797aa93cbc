import { digestOf } from '../../contract/names.js';
import type { JournalEntry } from '../../contract/journal.js';
import type { DeploymentRef, Grant, Release, Replica, Route } from '../../contract/pipeline.js';
import type { Catalog } from '../../platform/catalog/index.js';

export const run = (name: string): DeploymentRef => ({ workflowId: `deploy ${name}`, runId: `run-${name}` });

export const digest = (character: string) => digestOf(character.repeat(64));

export const replicas = (release: string, urls = ['http://127.0.0.1:20001']): Replica[] =>
  urls.map((url, ordinal) => ({ node: 'local', name: `slipway-${release}-${ordinal}`, url }));

/** A release as `grant` would make it; `image` is one hexadecimal digit. */
export const releaseOf = ({ service, token, deployment }: Grant, image = 'a'): Release => ({
  id: `${service}.r${token}`,
  service,
  model: service,
  token,
  deployment: deployment.workflowId,
  target: 'docker',
  image: { repository: service, digest: digest(image) },
  sourceImage: { repository: service, digest: digest('0') },
  source: { digest: digest('1'), name: service },
  weights: { digest: digest('2'), name: '20260101' },
  recipe: 'sklearn',
  spec: {
    recipe: 'sklearn',
    replicas: 1,
    port: 8000,
    resources: { cpu: 1, memory: '1Gi' },
    verify: { latencyBudget: '1s', startupBudget: '5m', sourceCheck: true },
  },
  // Odd but legal JSON must come back as it went in.
  verification: { at: '2026-01-01T00:00:00Z', samples: [{ ok: true, latency: 1.5, got: ['\u0000', 1e-7] }] },
  createdAt: '2026-01-01T00:00:00Z',
});

export async function grantTo(catalog: Catalog, service: string, name: string): Promise<Grant> {
  const deployment = run(name);
  return { service, token: await catalog.openGrant(service, deployment, 0), deployment };
}

/** Writes down that the route moves, as every move of it needs. */
export async function journalRoute(
  catalog: Catalog,
  grant: Grant,
): Promise<{ entry: JournalEntry; release: Release }> {
  const release = releaseOf(grant);
  const previous = await catalog.getRoute(grant.service);
  const entry = await catalog.recordEffect(grant, {
    kind: 'route',
    key: 'route',
    release: release.id,
    previous,
  });
  return { entry, release };
}

/** What the shift activity does: writes the effect down, then shifts. */
export async function shiftUnder(
  catalog: Catalog,
  grant: Grant,
  urls?: string[],
): Promise<{ entry: JournalEntry; route: Route; release: Release }> {
  const { entry, release } = await journalRoute(catalog, grant);
  return { entry, release, route: await catalog.shift(grant, release, replicas(release.id, urls)) };
}

/** A whole deployment that succeeds. */
export async function ship(catalog: Catalog, service: string, name: string, urls?: string[]): Promise<Route> {
  const grant = await grantTo(catalog, service, name);
  const { route } = await shiftUnder(catalog, grant, urls);
  await catalog.closeGrant(grant, 'succeeded');
  return route;
}

/** What a canary step does: writes the effect down, then divides the traffic. */
export async function weighUnder(
  catalog: Catalog,
  grant: Grant,
  weight: number,
  urls?: string[],
): Promise<{ entry: JournalEntry; route: Route; release: Release }> {
  const { entry, release } = await journalRoute(catalog, grant);
  const canary = { release: release.id, replicas: replicas(release.id, urls), weight };
  return { entry, release, route: await catalog.weigh(grant, canary) };
}

/** For what must not happen. */
export const neverCalled = (): Promise<never> => Promise.reject(new Error('was called'));
