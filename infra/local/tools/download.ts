import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { EnvHttpProxyAgent, request } from 'undici';
import type { Say, Source } from './tool.js';

export type Release = {
  url: string;
  version: string;
  program: string;
  /** File of the publisher's sums: a line with the hash, and the file's name where there are several. */
  sums?: string;
  /** How the program comes: by itself, or in a tar.gz, from which everything is taken. */
  form: 'program' | 'tar.gz';
};

/** Gets a tool from its publisher's releases. */
export const download = (release: Release): Source => ({
  what: `downloading ${release.url}`,
  keeps: { version: release.version, program: release.program },
  async install(folder, say, signal) {
    const file = join(folder, '.download');
    const sum = release.sums ? await expectedSum(release.sums, release.url, signal) : null;
    const actual = await save(release.url, file, say, signal);
    if (sum !== null && sum !== actual)
      throw new Error(`checking "${release.url}": sha256 ${actual}, but its publisher says ${sum}`);
    if (release.form === 'tar.gz') await unpack(file, folder);
    else await pipeline(createReadStream(file), createWriteStream(join(folder, release.program)));
    await chmod(join(folder, release.program), 0o755);
    await rm(file);
  },
});

/** Follows redirects itself, as only https may be followed, and gives up soon where there is no way out. */
async function open(
  url: string,
  signal: AbortSignal,
  hops = 5,
): Promise<{ body: Readable; length: number | null }> {
  if (!url.startsWith('https://')) throw new Error(`opening "${url}": not https`);
  const dispatcher = new EnvHttpProxyAgent({
    connect: { timeout: 5_000 },
    headersTimeout: 15_000,
    bodyTimeout: 30_000,
  });
  const { statusCode, headers, body } = await request(url, { dispatcher, signal });
  if (statusCode === 200)
    return { body, length: headers['content-length'] ? Number(headers['content-length']) : null };
  await body.dump();
  const location = headers['location'];
  if (statusCode >= 300 && statusCode < 400 && typeof location === 'string' && hops > 0)
    return await open(new URL(location, url).href, signal, hops - 1);
  throw new Error(`opening "${url}": status ${statusCode}`);
}

async function expectedSum(sums: string, url: string, signal: AbortSignal): Promise<string> {
  const { body } = await open(sums, signal);
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  const lines = Buffer.concat(chunks).toString().trim().split('\n');
  const name = url.slice(url.lastIndexOf('/') + 1);
  const line = lines.length === 1 ? lines[0] : lines.find((entry) => entry.trim().endsWith(name));
  const sum = /\b[0-9a-f]{64}\b/i.exec(line ?? '')?.[0];
  if (sum === undefined) throw new Error(`reading "${sums}": no sum of "${name}" in it`);
  return sum.toLowerCase();
}

async function save(url: string, file: string, say: Say, signal: AbortSignal): Promise<string> {
  const { body, length } = await open(url, signal);
  const hash = createHash('sha256');
  let bytes = 0;
  let told = 0;
  await pipeline(
    body,
    async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        hash.update(chunk);
        bytes += chunk.length;
        const tenth = length ? Math.floor((bytes / length) * 10) : 0;
        if (tenth > told) say(`downloading ${url} (${(told = tenth) * 10} %)`);
        yield chunk;
      }
    },
    createWriteStream(file),
  );
  return hash.digest('hex');
}

/** Takes every regular file, below the folder. */
async function unpack(file: string, folder: string): Promise<void> {
  const entries = extract();
  const reading = pipeline(createReadStream(file), createGunzip(), entries);
  for await (const entry of entries) {
    const path = normalize(entry.header.name);
    if (entry.header.type === 'file' && !path.startsWith('..') && !path.startsWith('/')) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      const mode = (entry.header.mode ?? 0o644) & 0o777;
      await pipeline(entry, createWriteStream(join(folder, path), { mode }));
    } else entry.resume();
  }
  await reading;
}

/** Names of this machine's platform as release files have them. */
export const platform = {
  os: process.platform,
  /** Go's word for the processor. */
  arch: process.arch === 'x64' ? 'amd64' : process.arch,
};
