import type { ImageRef } from '../../contract/names.js';
import { messageOf } from '../../contract/errors.js';
import { createRegistry } from '../../platform/images/registry.js';
import { cachedBase, pushBase } from './base-cache.js';
import { makeBase } from './base-debian.js';
import { pullBase } from './base-pulled.js';
import type { Local } from './components/component.js';
import { saveSettings } from './settings.js';

/**
 * Makes sure the registry holds the base image (Python 3 with venv and pip), and answers it by digest.
 * From where, in order: the registry itself, the per-user cache, Docker Hub, Debian's packages.
 * Throws an error that says what was tried when none works.
 */
export async function ensureBase(local: Local, engine: () => Promise<string>): Promise<ImageRef> {
  const { settings, home, report, ports } = local;
  const { username, password } = settings.secrets.registry;
  const registry = createRegistry({ url: `http://127.0.0.1:${ports.registry}`, username, password });
  const known = settings.base;
  if (known && (await registry.getManifest(known.repository, known.digest))) {
    report.done('base', `in the registry, ${known.digest.slice(0, 19)}…`);
    return known;
  }
  const keep = async (base: ImageRef, how: string): Promise<ImageRef> => {
    settings.base = base;
    await saveSettings(home, settings);
    report.done('base', `${how}, ${base.digest.slice(0, 19)}…`);
    return base;
  };

  const cached = await cachedBase();
  if (cached) return await keep(await pushBase(cached, registry, local), 'pushed from the cache');
  const tried: string[] = [];
  try {
    return await keep(await pullBase(await engine(), registry, local), 'pulled');
  } catch (error) {
    local.signal.throwIfAborted();
    tried.push(messageOf(error));
    report.step('base', `${messageOf(error)}; making one from Debian packages instead`);
  }
  try {
    return await keep(await pushBase(await makeBase(local), registry, local), 'made from Debian packages');
  } catch (cause) {
    local.signal.throwIfAborted();
    tried.push(messageOf(cause));
    throw new Error(
      `getting a base image: nothing worked\n${tried.map((line) => `  - ${line}`).join('\n')}\n` +
        'Make it possible to pull from Docker Hub, or run as root on Debian or Ubuntu.',
      { cause },
    );
  }
}
