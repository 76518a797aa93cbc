import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { SlipwayError } from '../../contract/errors.js';
import type { Stack } from '../../contract/stack.js';

/** `host/repository:tag` or `host/repository@sha256:…`, taken apart. */
export type Reference = { host: string; repository: string; reference: string };

const pattern =
  /^(?:(?<host>[^/]+)\/)?(?<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;

/** Parses an image's name as Docker does: without a host it is one of Docker Hub's. Throws `InvalidInput`. */
export function parseReference(name: string): Reference {
  const first = name.split('/')[0]!;
  const named = name.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  const whole = named ? name : `docker.io/${name.includes('/') ? name : `library/${name}`}`;
  const { host, repository, tag, digest } = pattern.exec(whole)?.groups ?? {};
  if (!host || !repository)
    throw new SlipwayError('InvalidInput', `"${name}" is not the name of an image, as host/repository:tag`);
  return {
    host: host === 'docker.io' ? 'registry-1.docker.io' : host,
    repository,
    reference: digest ?? tag ?? 'latest',
  };
}

export type Credentials = { username: string; password: string };

/**
 * Who we are to a registry: as the environment says (`SLIPWAY_IMAGE_USERNAME`, `SLIPWAY_IMAGE_PASSWORD`), as the stack
 * does for its own, as `docker login` left it, or nobody.
 */
export async function credentialsFor(host: string, stack: Stack | null): Promise<Credentials> {
  const { SLIPWAY_IMAGE_USERNAME: username, SLIPWAY_IMAGE_PASSWORD: password } = process.env;
  if (username && password) return { username, password };
  if (stack && new URL(stack.registry.url).host === host) return stack.registry;
  const folder = process.env['DOCKER_CONFIG'] || join(homedir(), '.docker');
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch(() => '{}');
  const { auths = {} } = JSON.parse(text) as { auths?: Record<string, { auth?: string }> };
  const auth = auths[host === 'registry-1.docker.io' ? 'https://index.docker.io/v1/' : host]?.auth;
  if (!auth) return { username: '', password: '' };
  const [user = '', ...rest] = Buffer.from(auth, 'base64').toString().split(':');
  return { username: user, password: rest.join(':') };
}
