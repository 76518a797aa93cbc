import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { RandomAccessReader } from 'yauzl';
import type { ArchiveSource } from './source.js';

/** A central directory is read front to back in small pieces; over a network they come in windows of this size. */
const windowBytes = 1 << 20;

/**
 * What `yauzl` reads a central directory through. A failure to read stays in `failure`, so that it isn't taken
 * for a fault of the archive.
 */
export class WindowedReader extends RandomAccessReader {
  failure: unknown;
  #start = 0;
  #window: Buffer = Buffer.alloc(0);

  constructor(readonly source: ArchiveSource) {
    super();
  }

  override read(
    target: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#read(position, length).then(
      (bytes) => {
        bytes.copy(target, offset);
        callback(null);
      },
      (error: unknown) => callback(error as Error),
    );
  }

  /** Entries' bytes are read by `Cursor` instead, with one request for many of them. */
  override _readStreamForRange(): Readable {
    throw new Error('only the directory is read this way');
  }

  async #read(position: number, length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    if (position < 0 || position + length > this.source.size) throw new Error('it points beyond its own end');
    if (position < this.#start || position + length > this.#start + this.#window.length) {
      const end = Math.min(position + Math.max(length, windowBytes), this.source.size) - 1;
      try {
        this.#window = await buffer(await this.source.open(position, end));
        this.#start = position;
      } catch (error) {
        this.failure = error;
        throw error;
      }
    }
    return this.#window.subarray(position - this.#start, position - this.#start + length);
  }
}
