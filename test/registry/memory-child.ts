import { createReadStream } from 'node:fs';
import type { ImageRef } from '../../contract/names.js';
import { appendWeights } from '../../platform/images/append.js';
import { digestLayer } from '../../platform/images/layers.js';
import { createRegistry } from '../../platform/images/registry.js';
import { tellMemory } from '../support/memory.js';
import { repository, sha256, watch } from './sample.js';

/** Appends one large file to an image. */
const registry = createRegistry(JSON.parse(process.env['REGISTRY']!) as Parameters<typeof createRegistry>[0]);
const sourceImage = JSON.parse(process.env['IMAGE']!) as ImageRef;
const path = 'large.bin';
const size = Number(process.env['SIZE']);
const open = (start: number) => createReadStream(process.env['FILE']!, { start });
await tellMemory(async () => {
  const layer = { ...(await digestLayer([{ path, size, open }])), files: [path] };
  const file = { path, size, sha256: layer.digest, offset: 0, packed: size, method: 'stored' as const };
  const index = { format: 1 as const, digest: sha256(Buffer.from(path)), files: [file], layers: [layer] };
  const { sent } = await appendWeights(
    registry,
    { repository, sourceImage, index, open: (_, start) => Promise.resolve(open(start)) },
    watch(),
  );
  return sent.bytes;
});
