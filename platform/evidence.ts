import { text } from 'node:stream/consumers';
import type { DeploymentRef } from '../contract/pipeline.js';
import { deploymentPrefix, type Storage } from './storage/index.js';

const folder = (deployment: DeploymentRef): string => `${deploymentPrefix(deployment)}evidence/`;

/** Keeps what a replica that is about to be removed said last, with the deployment. */
export async function keepEvidence(
  storage: Storage,
  deployment: DeploymentRef,
  replica: string,
  said: string,
): Promise<void> {
  await storage.put(`${folder(deployment)}${replica}.log`, Buffer.from(said));
}

/** Everything that was kept of a deployment's replicas, each under a heading of its name. */
export async function* readEvidence(storage: Storage, deployment: DeploymentRef): AsyncGenerator<string> {
  for (const object of await storage.listUnder(folder(deployment))) {
    const name = object.key.slice(folder(deployment).length).replace(/\.log$/, '');
    yield `\n--- ${name} ---\n${await text(await storage.read(object))}`;
  }
}
