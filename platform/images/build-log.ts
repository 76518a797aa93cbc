import { buffer } from 'node:stream/consumers';
import type { DeploymentRef } from '../../contract/pipeline.js';
import { deploymentPrefix, type Storage } from '../storage/index.js';
import { redactor } from './build/redact.js';

/** Collects lines and keeps them in storage while the build goes on. */
export interface BuildLog {
  /** Adds a line, without its end. */
  line(text: string): void;
  /** Stores what is not stored yet. Throws when storage does not take it. */
  close(): Promise<void>;
}

const flushInterval = 1000;
/** Chunks this large are written without waiting for the interval. */
const flushBytes = 256 * 1024;
/** A build that prints without end fills no storage: the rest is left out, and that is said. */
const largest = 32 * 1024 * 1024;

/**
 * Chunks are objects of their own, numbered from 0: appending to one object would write the whole log again each
 * second, and a bucket that keeps versions would keep them all.
 */
const chunkKey = (deployment: DeploymentRef, number: number): string =>
  `${deploymentPrefix(deployment)}build.log/${String(number).padStart(6, '0')}`;

/**
 * Opens a deployment's build log for appending: a second attempt goes on where the first, perhaps killed one stopped.
 * Secrets, and credentials in any URL, are taken out of every line.
 */
export async function openBuildLog(
  storage: Storage,
  deployment: DeploymentRef,
  secrets: readonly string[] = [],
): Promise<BuildLog> {
  let next = 0;
  while (await storage.stat(chunkKey(deployment, next))) next++;
  return new StoredLog(storage, deployment, next, redactor(secrets));
}

/** Chunks of the log from number `offset` on, and the number to go on from. Nothing new: an empty text. */
export async function readBuildLog(
  storage: Storage,
  deployment: DeploymentRef,
  offset = 0,
): Promise<{ text: string; next: number }> {
  const chunks: Buffer[] = [];
  for (;;) {
    const object = await storage.stat(chunkKey(deployment, offset + chunks.length));
    if (!object) break;
    chunks.push(await buffer(await storage.read(object)));
  }
  return { text: Buffer.concat(chunks).toString('utf8'), next: offset + chunks.length };
}

class StoredLog implements BuildLog {
  #lines: string[] = [];
  #pending = 0;
  #total = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly storage: Storage,
    private readonly deployment: DeploymentRef,
    private next: number,
    private readonly redact: (text: string) => string,
  ) {}

  line(text: string): void {
    if (this.#total > largest) return;
    const line = `${this.redact(text)}\n`;
    this.#total += line.length;
    this.#pending += line.length;
    this.#lines.push(this.#total > largest ? `… the rest of the log is left out\n` : line);
    if (this.#pending > flushBytes) this.#later(0);
    else this.#later(flushInterval);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#flush();
  }

  #later(milliseconds: number): void {
    if (this.#timer && milliseconds > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // What storage does not take now stays for the next time, at the latest for close, which throws.
      this.#writing = this.#writing.then(() => this.#flush()).catch(() => this.#later(flushInterval));
    }, milliseconds);
  }

  async #flush(): Promise<void> {
    if (this.#lines.length === 0) return;
    const { length } = this.#lines;
    const bytes = Buffer.from(this.#lines.join(''));
    // An attempt that was presumed dead may still be writing: its chunks are not overwritten.
    while (await this.storage.stat(chunkKey(this.deployment, this.next))) this.next++;
    await this.storage.put(chunkKey(this.deployment, this.next), bytes, bytes.length);
    this.next++;
    this.#lines = this.#lines.slice(length);
    this.#pending = this.#lines.reduce((sum, line) => sum + line.length, 0);
  }
}
