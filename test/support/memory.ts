import { fork } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export const mebibyte = 2 ** 20;

/**
 * Runs a module with little memory to work with, in a process of its own that ends with {@link tellMemory}; answers the
 * MiB that it grew by and the bytes it says it has moved.
 */
export async function growthOf(
  module: URL,
  env: NodeJS.ProcessEnv,
): Promise<{ mebibytes: number; bytes: number }> {
  const child = fork(fileURLToPath(module), [], {
    execArgv: ['--max-old-space-size=64'],
    env: { ...process.env, ...env },
  });
  const told = once(child, 'message') as Promise<[{ before: number; peak: number; bytes: number }]>;
  const failed = once(child, 'exit').then(([status]) => Promise.reject(new Error(`it ended with ${status}`)));
  const [{ before, peak, bytes }] = await Promise.race([told, failed]);
  return { mebibytes: Math.round((peak - before) / 1024), bytes };
}

/** Does something in a process that {@link growthOf} has started; `act` answers the bytes it has moved. */
export async function tellMemory(act: () => Promise<number>): Promise<void> {
  const before = process.resourceUsage().maxRSS;
  const bytes = await act();
  process.send!({ before, peak: process.resourceUsage().maxRSS, bytes }, () => process.exit());
}

/** Bytes that do not compress, made fast. */
export function noiseStream(length: number): Readable {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(mebibyte);
  return Readable.from(
    (function* () {
      for (let made = 0; made < length; made += zeros.length) yield cipher.update(zeros);
    })(),
    { objectMode: false },
  );
}
