import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Behind = { username: string; password: string; port: number };

/** Answers a request itself (true), or leaves it to the registry behind. */
type Rule = (asked: IncomingMessage, answer: ServerResponse) => boolean | Promise<boolean>;

/** An HTTP front before a real registry, as companies have: it may refuse, delay, or want its own credentials. */
export class Front {
  readonly asked: { method: string; path: string; authorization: string | undefined }[] = [];
  private readonly server: Server;

  private constructor(
    private readonly registry: Behind,
    private readonly rule: Rule,
    private readonly rewrite: (location: string) => string,
  ) {
    this.server = createServer((asked, answer) => void this.handle(asked, answer));
  }

  static async before(
    registry: Behind,
    rule: Rule,
    rewrite: (location: string) => string = (location) => location,
  ): Promise<Front> {
    const front = new Front(registry, rule, rewrite);
    front.server.listen(0, '127.0.0.1');
    await once(front.server, 'listening');
    return front;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async handle(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = '', url: path = '', headers } = asked;
    this.asked.push({ method, path, authorization: headers.authorization });
    if (await this.rule(asked, answer)) return void asked.resume();
    const { username, password, port } = this.registry;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const own = { ...headers, authorization, host: this.url.slice('http://'.length) };
    const behind = request({ port, host: '127.0.0.1', method, path, headers: own }, (response) => {
      const { location } = response.headers;
      if (location !== undefined) response.headers.location = this.rewrite(location);
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    behind.on('error', () => answer.destroy());
    asked.on('close', () => asked.complete || behind.destroy());
    asked.pipe(behind);
  }
}

/** Ends a request with a registry's error. */
export function refuse(
  answer: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
  code = 'DENIED',
): true {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers });
  answer.end(JSON.stringify({ errors: [{ code, message: 'refused by the front' }] }));
  return true;
}
