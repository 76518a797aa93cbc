import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import Docker from 'dockerode';
import { execa } from 'execa';
import { labels } from '../../contract/serving.js';
import { slipwayHome, stackFile } from '../../platform/stack.js';
import { engineOptions } from '../../platform/targets/engine.js';
import { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { toolPath } from '../support/stack.js';

describe("the stack's credentials", () => {
  let yard: Shipyard;
  let model: string;
  /** Of a deployment that succeeded, one that failed and was undone, and one that was refused in its build. */
  let workflowIds: string[];
  let secrets: [string, string][];
  before(async () => {
    yard = await Shipyard.onStack();
    const { token, s3, registry, postgres } = yard.stack;
    secrets = [
      ['API token', token],
      ['S3 secret key', s3.secretKey],
      ['registry password', registry.password],
      ['PostgreSQL password', new URL(postgres).password],
    ];
    model = yard.name('secret');
    await yard.put(model, 'source', await greeterSource({ 'note.txt': model }));
    await yard.put(model, 'weights', await greeterWeights());
    const shipped = await yard.deploy({ model });
    await shipped.result();
    await yard.put(model, 'weights', await greeterWeights({ wrong: true }), '20260102');
    const failed = await yard.deploy({
      model,
      verify: { samples: [{ input: 'Ada', expect: 'Hello, Ada!' }] },
    });
    assert.equal((await yard.failure(failed)).type, 'VerificationFailed');
    const files = { 'requirements.txt': './broken.tar.gz\n', 'broken.tar.gz': 'not an archive' };
    await yard.put(model, 'source', await greeterSource(files));
    const unbuilt = await yard.deploy({ model });
    assert.equal((await yard.failure(unbuilt)).type, 'BuildFailed');
    workflowIds = [shipped, failed, unbuilt].map((handle) => handle.workflowId);
  });
  after(() => yard.close());

  function absentFrom(where: string, text: string): void {
    // Also as the payloads and headers of APIs carry them.
    for (const [name, secret] of secrets)
      for (const form of [secret, Buffer.from(secret).toString('base64').replace(/=+$/, '')])
        assert.ok(!text.includes(form), `the ${name} is in ${where}`);
  }

  test('are in no workflow history', async () => {
    const address = yard.stack.temporal.address;
    for (const id of [...workflowIds, `service/${model}`]) {
      const show = ['workflow', 'show', '--workflow-id', id, '--output', 'json', '--address', address];
      const { stdout } = await execa(await toolPath('temporal'), show);
      assert.match(stdout, /eventId/);
      absentFrom(`the history of ${id}`, stdout);
      const payloads = [...stdout.matchAll(/"data": ?"([^"]+)"/g)].map(([, data = '']) =>
        Buffer.from(data, 'base64').toString(),
      );
      absentFrom(`the payloads of ${id}`, payloads.join('\n'));
    }
  });

  test('are in no container, its labels and environment, nor in its image', async () => {
    const docker = new Docker(engineOptions(yard.stack.docker));
    const filters = { label: [`${labels.service}=${model}`] };
    const containers = await docker.listContainers({ all: true, filters });
    assert.ok(containers.length > 0);
    for (const { Id, ImageID, Image } of containers) {
      absentFrom(`container ${Id}`, JSON.stringify(await docker.getContainer(Id).inspect()));
      const image = docker.getImage(Image.includes('sha256:') ? ImageID : Image);
      absentFrom(`image ${Image}`, JSON.stringify([await image.inspect(), await image.history()]));
    }
  });

  test('are in no log', async () => {
    const folder = join(slipwayHome(), 'logs');
    const files = await readdir(folder);
    assert.ok(files.length > 0);
    for (const file of files) absentFrom(`the log ${file}`, await readFile(join(folder, file), 'utf8'));
  });

  test('are in the arguments of no process', async () => {
    const { stdout } = await execa('ps', ['-eo', 'args', '-ww']);
    absentFrom('the arguments of a process', stdout);
  });

  test('are in a file that only its owner reads', async () => {
    assert.equal((await stat(stackFile())).mode & 0o777, 0o600);
  });
});
