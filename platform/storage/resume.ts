import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../contract/errors.js';

/** Opens bytes `start` to `end` of something; called again for the rest when a stream breaks. */
export type OpenRange = (start: number) => Promise<Readable>;

/** Attempts in a row that bring not one byte. */
const maxBarrenAttempts = 5;

/**
 * Bytes `start` to `end` (inclusive) as one stream that goes on at the byte where a connection was cut. It ends
 * complete or fails; it never ends short. `open`'s own errors are final.
 */
export function resumingStream(
  doing: string,
  range: { start: number; end: number },
  first: Readable,
  open: OpenRange,
  signal?: AbortSignal,
): Readable {
  const stream = Readable.from(resuming(doing, range, first, open, signal), {
    objectMode: false,
    highWaterMark: 256 * 1024,
  });
  // Who leaves before the first byte never starts the generator, which would have closed the connection.
  return stream.once('close', () => first.once('error', () => undefined).destroy());
}

async function* resuming(
  doing: string,
  { start, end }: { start: number; end: number },
  first: Readable,
  open: OpenRange,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  let at = start;
  let body = first;
  for (let barren = 0; ; barren++) {
    let fault: unknown;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        if (at + chunk.length > end + 1)
          throw new SlipwayError('Conflict', `${doing}: more bytes than asked for`);
        at += chunk.length;
        barren = 0;
        yield chunk;
      }
      if (at === end + 1) return;
      fault = new Error(`the stream ended ${end + 1 - at} bytes short`);
    } catch (error) {
      fault = error;
    } finally {
      body.destroy();
    }
    signal?.throwIfAborted();
    if (fault instanceof SlipwayError) throw fault;
    if (barren >= maxBarrenAttempts) throw new Error(`${doing} at byte ${at}`, { cause: fault });
    await delay(200 * 2 ** barren, undefined, signal ? { signal } : {});
    body = await open(at);
  }
}
