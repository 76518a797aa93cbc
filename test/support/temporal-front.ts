import { readFile } from 'node:fs/promises';
import {
  connect,
  constants,
  createSecureServer,
  type ClientHttp2Session,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureVersion } from 'node:tls';
import type { Certificate } from './certificates.js';

export type FrontOptions = {
  server: Certificate;
  /** Authority that clients' certificates must be signed by. */
  clientCaFile: string;
  maxVersion?: SecureVersion;
};

/** TLS in front of a Temporal server that speaks none: takes only clients with a certificate, and sees what they send. */
export class TemporalFront {
  /** Method and `authorization` of every request. */
  readonly requests: { method: string; authorization: string | undefined }[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Http2SecureServer,
    private readonly upstream: string,
  ) {
    server.on('secureConnection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('session', (session) => {
      let behind: ClientHttp2Session | null = null;
      const current = (): ClientHttp2Session => {
        if (behind) return behind;
        const made = connect(`http://${this.upstream}`);
        const forget = (): void => void (behind === made && (behind = null));
        // A server asks for another connection every few minutes, and lets the calls on this one end.
        made.on('goaway', forget);
        made.on('close', forget);
        made.on('error', () => session.destroy());
        session.on('close', () => made.destroy());
        return (behind = made);
      };
      session.on('error', () => undefined);
      session.on('stream', (stream, headers) => {
        const method = String(headers[':path']).split('/').at(-1)!;
        this.requests.push({ method, authorization: headers.authorization });
        relay(stream, current().request(headers));
      });
    });
  }

  static async start(upstream: string, options: FrontOptions): Promise<TemporalFront> {
    const { server: own, clientCaFile, maxVersion } = options;
    const [cert, key, ca] = await Promise.all(
      [own.certificateFile, own.keyFile, clientCaFile].map((file) => readFile(file)),
    );
    const server = createSecureServer({
      ...{ cert, key, ca, requestCert: true, rejectUnauthorized: true },
      ...(maxVersion && { maxVersion }),
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TemporalFront(server, upstream);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

function relay(client: ServerHttp2Stream, server: ReturnType<ReturnType<typeof connect>['request']>): void {
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.on('error', () => undefined);
    // A call that one side gives up.
    one.on('close', () => {
      if (!other.closed && one.rstCode !== constants.NGHTTP2_NO_ERROR) other.close(one.rstCode);
    });
  }
  let trailers: IncomingHttpHeaders = {};
  server.on('trailers', (headers) => (trailers = headers));
  server.on('response', (headers, flags) => {
    if (client.destroyed) return;
    if (flags & constants.NGHTTP2_FLAG_END_STREAM) return client.respond(headers, { endStream: true });
    client.respond(headers, { waitForTrailers: true });
    client.on('wantTrailers', () => client.sendTrailers(trailers));
    server.pipe(client);
  });
  client.pipe(server);
}
