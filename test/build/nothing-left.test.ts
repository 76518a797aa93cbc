import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import { examplesFolder } from '../support/models.js';
import { BuildWorld } from './world.js';

test('of certificates, index and proxy of a build nothing is in the image, its history or the log', async (t) => {
  const world = await BuildWorld.open(t);
  const folder = await mkdtemp(join(tmpdir(), 'slipway-left-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const caBundle = join(folder, 'ca.pem');
  const trusted = world.stack.build.caBundle ?? '/etc/ssl/certs/ca-certificates.crt';
  await writeFile(caBundle, `# marker-of-the-bundle\n${await readFile(trusted, 'utf8')}`);
  const index = new URL(world.stack.build.pipIndex ?? 'https://pypi.org/simple');
  index.username = 'marker-index-user';
  index.password = 'marker-index-password';
  const build = await world.prepare({
    files: {
      'k8s_api_model.py': await readFile(join(examplesFolder(), 'greeter/source/k8s_api_model.py')),
      'requirements.txt': 'six==1.17.0\n',
    },
    build: {
      caBundle,
      pipIndex: index.href,
      // Packages come over https, which has no proxy here.
      httpProxy: 'http://marker-proxy-user:marker-proxy-password@127.0.0.1:9',
      noProxy: 'marker-no-proxy.example',
    },
  });
  const image = await build.run();
  const told = world.lines.join('\n');
  assert.match(told, /Collecting six==1\.17\.0/);
  assert.match(told, /Looking in indexes/, 'the index was used');
  assert.doesNotMatch(told, /marker-(?:index-password|proxy)/);

  const found = await world.registry.getManifest(image.repository, image.digest);
  assert.ok(found);
  const { config, layers } = found.manifest;
  const configText = (await world.registry.readBlob(image.repository, config.digest)).toString();
  assert.doesNotMatch(found.raw.toString() + configText, /marker-/);
  const base = (await world.registry.getManifest(world.stack.base.repository, world.stack.base.digest))!;
  for (const { digest } of layers.slice(base.manifest.layers.length)) {
    const tar = join(folder, 'layer.tar.gz');
    await writeFile(tar, await world.registry.readBlob(image.repository, digest));
    const names = (await execa('tar', ['-tzf', tar])).stdout.split('\n');
    assert.deepEqual(
      names.filter((name) => /^(?:mnt|media|root)\/.|slipway-build|pip\.conf|ca\.pem/.test(name)),
      [],
    );
    const { stdout } = await execa({ shell: true })`tar -xzOf ${tar} | grep -c marker- || true`;
    assert.equal(stdout, '0');
  }
  const env = (JSON.parse(configText) as { config: { Env: string[] } }).config.Env.join(' ');
  assert.doesNotMatch(env, /proxy|PIP_|CERT|INDEX/i);
});
