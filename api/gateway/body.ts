import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

/** The request's body is larger than allowed. */
export class BodyTooLarge extends Error {
  constructor(limit: number) {
    super(`the request's body is larger than ${limit} bytes`);
  }
}

/**
 * A request's body on its way to a replica: read only as fast as it is sent, and not before a connection is there.
 * Until then {@link sent} is false and the request may go elsewhere.
 */
export class PassingBody {
  sent = false;
  /** Why the body could not be passed on, when that is the client's doing. */
  failure: BodyTooLarge | null = null;

  constructor(
    private readonly request: IncomingMessage,
    private readonly limit: number,
  ) {
    if (Number(request.headers['content-length'] ?? 0) > limit) throw new BodyTooLarge(limit);
  }

  /** For one attempt. undici takes the first piece once it has a connection, and writes nothing before that. */
  pieces(): Readable {
    // undici sends any async iterable; its types know only of streams.
    return this.read() as unknown as Readable;
  }

  private async *read(): AsyncGenerator<Buffer> {
    this.sent = true;
    let size = 0;
    // Left open when sending ends early: the client is still to be answered on the same connection.
    const pieces = this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    try {
      for await (const piece of pieces) {
        size += piece.length;
        if (size > this.limit) throw (this.failure = new BodyTooLarge(this.limit));
        yield piece;
      }
    } finally {
      // What a replica did not want to read stands before the next request on the connection.
      this.request.resume();
    }
  }
}
