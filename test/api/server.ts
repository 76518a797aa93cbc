import { pino } from 'pino';
import { ApiClient } from '../../api/client.js';
import { openContext } from '../../api/context.js';
import { createApi } from '../../api/server.js';
import { Stack } from '../../contract/stack.js';
import { serverPort } from '../support/ports.js';

/** The API in this process, at an address of its own. */
export class TestApi {
  readonly client: ApiClient;

  private constructor(
    readonly url: string,
    readonly stack: Stack,
    private readonly end: () => Promise<void>,
  ) {
    this.client = new ApiClient(url, stack.token);
  }

  static async start(stack: Stack): Promise<TestApi> {
    const context = await openContext(stack, pino({ level: 'silent' }));
    const api = createApi(context);
    const url = await api.listen({ host: '127.0.0.1', port: 0 });
    return new TestApi(url, stack, async () => {
      await api.close();
      await context.close();
    });
  }

  /** A bare request, as curl makes it; with the token unless `headers` say otherwise. */
  async request(
    path: string,
    { headers = {}, ...init }: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {},
  ): Promise<{ status: number; headers: Headers; body: unknown }> {
    const answer = await fetch(new URL(path, this.url), {
      ...init,
      headers: { authorization: `Bearer ${this.stack.token}`, ...headers },
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: parse(text) };
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.end();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A stack whose every server is away: nothing listens at any of its addresses. */
export async function stackAway(): Promise<Stack> {
  const nowhere = async () => `127.0.0.1:${await serverPort()}`;
  return Stack.parse({
    api: 'http://127.0.0.1:1',
    gateway: `http://${await nowhere()}`,
    token: 'a-token-of-this-test',
    temporal: { address: await nowhere(), namespace: 'default', ui: '' },
    s3: { endpoint: `http://${await nowhere()}`, accessKey: 'a', secretKey: 'b', bucket: 'models' },
    registry: { url: `http://${await nowhere()}`, username: 'a', password: 'b' },
    postgres: `postgres://a:b@${await nowhere()}/slipway`,
    docker: 'unix:///nowhere/docker.sock',
    base: { repository: 'slipway-base', digest: `sha256:${'0'.repeat(64)}` },
    nodes: [{ name: 'local', docker: 'unix:///nowhere/docker.sock', registry: '127.0.0.1:1' }],
    cache: { path: '/tmp/slipway-no-cache' },
    state: '/tmp/slipway-no-state',
    name: 'test',
  });
}
