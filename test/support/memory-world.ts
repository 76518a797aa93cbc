import { createHash, randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { SlipwayError } from '../../contract/errors.js';
import { describeEffect, type JournalEntry } from '../../contract/journal.js';
import type { ServeSpec } from '../../contract/deploy.js';
import { digestOf, hexOf, releaseId, type Digest, type ImageRef } from '../../contract/names.js';
import type { Grant, PinnedArtifact } from '../../contract/pipeline.js';
import { MemoryCatalog } from './memory-catalog.js';

export type Container = { name: string; service: string; token: number; release: string };

/** Everything that deployments change, in memory; each service is deployed from the model of its own name. */
export class MemoryWorld {
  readonly catalog = new MemoryCatalog(serverNow);
  readonly containers = new Map<string, Container>();
  readonly manifests = new Map<Digest, ImageRef>();
  /** Tag to the image it names. */
  readonly tags = new Map<string, ImageRef>();
  /** Temporary tags on the build engine. */
  readonly builds = new Set<string>();
  /** What is said of a model's rollout beforehand. */
  readonly warnings = new Map<string, string[]>();
  /** What somebody does to a service's replicas while they are replaced. */
  readonly byHand = new Map<string, string[]>();
  /** Every look at a canary step, and the milliseconds it had left. */
  readonly judged: { service: string; weight: number; left: number }[] = [];
  private readonly versions = new Map<string, { source: number; weights: number }>();

  /** Puts new content under a model's source or weights. */
  upload(model: string, kind: 'source' | 'weights'): void {
    const version = this.versionOf(model);
    this.versions.set(model, { ...version, [kind]: version[kind] + 1 });
  }

  artifacts(model: string): { source: PinnedArtifact; weights: PinnedArtifact } {
    return { source: this.artifact(model, 'source'), weights: this.artifact(model, 'weights') };
  }

  private artifact(model: string, kind: 'source' | 'weights'): PinnedArtifact {
    const version = this.versionOf(model)[kind];
    const name = kind === 'source' ? model : `202601${String(version).padStart(2, '0')}`;
    const key = kind === 'source' ? `${model}/src/${model}.zip` : `${model}/model/${name}.zip`;
    return {
      kind,
      model,
      name,
      object: { key, etag: `v${version}`, size: 1, modified: '2026-01-31T00:00:00.000Z' },
      digest: digest(`${key} ${version}`),
      index: `${key}.index`,
      files: 1,
      bytes: 1,
    };
  }

  /** The image of a model's source, without weights. */
  sourceImage(model: string): ImageRef {
    return imageOf(model, 'source', this.artifact(model, 'source').digest);
  }

  /** The image that a deployment of what is uploaded now makes. */
  image(model: string): ImageRef {
    return imageOf(model, this.sourceImage(model).digest, this.artifact(model, 'weights').digest);
  }

  /** A service as an earlier, successful deployment of what is uploaded leaves it. */
  async serve(service: string): Promise<void> {
    const deployment = { workflowId: `earlier deployment of ${service}`, runId: randomUUID() };
    const token = await this.catalog.openGrant(service, deployment, 0);
    const grant = { service, token, deployment };
    const [sourceImage, image] = [this.sourceImage(service), this.image(service)];
    for (const each of [sourceImage, image]) this.manifests.set(each.digest, each);
    const { source, weights } = this.artifacts(service);
    this.tags.set(tagOf(image, weights.name), image);
    const release = releaseId(service, token);
    const name = `slipway-${release}-0`;
    this.containers.set(name, { name, service, token, release });
    const previous = await this.catalog.getRoute(service);
    await this.catalog.recordEffect(grant, { kind: 'route', key: 'route', release, previous });
    await this.catalog.shift(
      grant,
      {
        id: release,
        service,
        model: service,
        token,
        deployment: deployment.workflowId,
        target: 'docker',
        image,
        sourceImage,
        source: { digest: source.digest, name: source.name },
        weights: { digest: weights.digest, name: weights.name },
        recipe: spec.recipe,
        spec,
        verification: { at: '2026-01-31T00:00:00.000Z', samples: [] },
        createdAt: '2026-01-31T00:00:00.000Z',
      },
      [{ node: 'local', name, url: 'http://127.0.0.1:20000' }],
    );
    await this.catalog.closeGrant(grant, 'succeeded');
  }

  /** Deletes an image with every tag of it, unless a release or another open effect names it. */
  async withdraw(grant: Grant, { digest }: ImageRef): Promise<void> {
    await this.catalog.whileUnnamed(digest, grant, async () => {
      this.manifests.delete(digest);
      for (const [tag, image] of this.tags) if (image.digest === digest) this.tags.delete(tag);
    });
  }

  async takeBack(grant: Grant, entry: JournalEntry): Promise<void> {
    const { effect } = entry;
    switch (effect.kind) {
      case 'build':
        this.builds.delete(effect.tag);
        return;
      case 'manifest':
      case 'tag':
        return await this.withdraw(grant, effect);
      case 'replica':
        this.containers.delete(effect.name);
        return;
      case 'route':
        await this.catalog.unshift(entry);
    }
  }

  /** Removes the containers of a service that neither serve nor belong to a deployment under way. */
  async tidy(service: string): Promise<void> {
    const record = await this.catalog.getService(service);
    if (!record) return;
    const route = await this.catalog.getRoute(service);
    const kept = (await this.catalog.keptReplicas(service)).filter(({ expired }) => !expired);
    const needed = [route, ...kept].flatMap((it) => it?.replicas ?? []);
    for (const container of this.containers.values()) {
      const past = record.holder === null ? container.token <= record.token : container.token < record.token;
      const serves = needed.some(({ name }) => name === container.name);
      if (container.service === service && past && !serves) this.containers.delete(container.name);
    }
  }

  /** All there is of a service: equal before and after what was undone whole. */
  async census(service: string): Promise<Record<string, unknown>> {
    const record = await this.catalog.getService(service);
    const route = await this.catalog.getRoute(service);
    const open = await this.catalog.allOpenEffects();
    return {
      containers: [...this.containers.values()].filter((container) => container.service === service),
      manifests: [...this.manifests.values()].filter(({ repository }) => repository === service),
      tags: [...this.tags].filter(([, { repository }]) => repository === service),
      builds: [...this.builds].filter((tag) => tag.startsWith(`${service}.`)),
      releases: (await this.catalog.listReleases(service)).map(({ id }) => id),
      live: record?.live ?? null,
      previous: record?.previous ?? null,
      lastVerified: record?.lastVerified ?? null,
      holder: record?.holder ?? null,
      route: route && { release: route.release, replicas: route.replicas, canary: route.canary },
      openEffects: open.filter((entry) => entry.service === service).map(({ effect }) => effect),
    };
  }

  /** What was journaled under a token, oldest first, in words. */
  effects(service: string, token: number): string[] {
    return this.catalog.journal
      .filter((entry) => entry.service === service && entry.token === token)
      .map(({ effect }) => describeEffect(effect));
  }

  private versionOf(model: string): { source: number; weights: number } {
    return this.versions.get(model) ?? { source: 1, weights: 1 };
  }
}

/** The time of the Temporal server, which may skip some, as an activity knows it. */
const serverNow = (): number => Context.current().info.currentAttemptScheduledTimestampMs;

/** What every service runs with, unless its input says otherwise. */
export const spec = {
  recipe: 'python-class',
  replicas: 1,
  port: 8000,
  resources: { cpu: 1, memory: '1Gi' },
  verify: { latencyBudget: '1s', startupBudget: '5m', sourceCheck: true },
} as const satisfies ServeSpec;

export const tagOf = ({ repository, digest }: ImageRef, weights: string): string =>
  `${repository}:${weights}-${hexOf(digest).slice(0, 12)}`;

/** An image made of named content: the same content, the same digest. */
export const imageOf = (repository: string, ...content: string[]): ImageRef => ({
  repository,
  digest: digest(content.join(' ')),
});

/** The error that a stage's activity fails with for good. */
export const lastingly = (type: ConstructorParameters<typeof SlipwayError>[0]): SlipwayError =>
  new SlipwayError(type, `made to fail with ${type}`, { made: true });

const digest = (content: string): Digest => digestOf(createHash('sha256').update(content).digest('hex'));
