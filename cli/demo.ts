import { createWriteStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { ZipFile } from 'yazl';
import { ApiClient, ApiFailure } from '../api/client.js';
import { upload } from '../api/upload.js';
import type { DeploymentStatus } from '../contract/deployment.js';
import type { Release } from '../contract/pipeline.js';
import { readStack } from './connection.js';
import { tellFailure } from './failure.js';
import { humanTime, paint, print } from './output.js';
import { viewFor } from './views.js';
import { report, watch } from './watch.js';

/** The example: a scikit-learn classifier of the iris flower. */
const model = 'iris';
const date = '20260101';
const example = fileURLToPath(new URL('../../examples/iris/', import.meta.url));
const flower = [[5.1, 3.5, 1.4, 0.2]];
const kinds = ['setosa', 'versicolor', 'virginica'];

const began = Date.now();
try {
  const stack = await readStack();
  const client = new ApiClient(stack.api, stack.token);
  try {
    await demonstrate(client, stack);
  } finally {
    await client.close();
  }
} catch (error) {
  process.exitCode = tellFailure(error, false);
}

async function demonstrate(
  client: ApiClient,
  { gateway, temporal }: { gateway: string; temporal: { ui: string } },
): Promise<void> {
  heading(`1. Upload source and weights of "${model}"`);
  await uploadExample(client, await liveRelease(client));

  heading('2. Deploy: a Temporal workflow, from the zips to a verified endpoint');
  const ref = await client.call('deploy', { body: { model } });
  const status = await watch(client, ref, await viewFor(process.stdout));
  await report(client, status, process.stdout);

  heading('3. Predict, through the gateway');
  const url = `${gateway}/v1/models/${model}/predict`;
  const output = await predict(url);
  const names = Array.isArray(output) ? output.map((kind: number) => kinds[kind]).join(', ') : '';
  print(`  ${JSON.stringify(flower)} → ${paint('bold', JSON.stringify(output))} ${names}`);

  heading('What happened');
  summarise(status);

  heading('Go on');
  const body = JSON.stringify({ input: flower });
  print(`  Temporal UI     ${temporal.ui}`);
  print(`  gateway         ${gateway}`);
  print(`  predict         curl -H 'content-type: application/json' -d '${body}' ${url}`);
  print(`  look            npx slipway deployments; npx slipway service status ${model}`);
  print('  your own model  npx slipway upload MODEL --source S.zip --weights W.zip');
  print('                  npx slipway deploy MODEL');
  print('  stop            npm run down');
}

async function liveRelease(client: ApiClient): Promise<Release | undefined> {
  try {
    const { record, releases } = await client.call('getService', { params: { service: model } });
    return releases.find(({ id }) => id === record.live);
  } catch (error) {
    if (error instanceof ApiFailure && error.type === 'NotFound') return undefined;
    throw error;
  }
}

async function uploadExample(client: ApiClient, live: Release | undefined): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-demo-'));
  try {
    for (const kind of ['source', 'weights'] as const) {
      const file = join(folder, `${kind}.zip`);
      await zipFolder(join(example, kind), file);
      const stored = await upload(client, { model, kind, file, ...(kind === 'weights' ? { date } : {}) });
      const same = live?.[kind].digest === stored.digest ? ', unchanged: what serves now has it' : '';
      print(`  ${stored.object.key.padEnd(26)} content ${stored.digest.slice(0, 19)}${same}`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function zipFolder(folder: string, file: string): Promise<void> {
  const zip = new ZipFile();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths.sort())
    zip.addFile(path, relative(folder, path), { mtime: new Date(1980, 0, 1), mode: 0o100644 });
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(file));
}

async function predict(url: string): Promise<unknown> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input: flower }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`predicting: the gateway answered ${answer.status} ${text}`);
  return (JSON.parse(text) as { output: unknown }).output;
}

function summarise({ stages, release, image }: DeploymentStatus): void {
  for (const { name, state, startedAt, endedAt, detail } of stages) {
    const took = startedAt && endedAt ? humanTime(Date.parse(endedAt) - Date.parse(startedAt)) : '';
    print(`  ${name.padEnd(16)}${took.padStart(8)}  ${detail ?? state}`);
  }
  print(`  release         ${release ?? ''}`);
  print(`  image           ${image?.repository}@${image?.digest}`);
  print(`  all in all      ${humanTime(Date.now() - began)}`);
}

function heading(text: string): void {
  print(`\n${paint('bold', text)}`);
}
