import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { startGateway, type Gateway, type GatewayOptions } from '../../api/gateway/index.js';
import type { Grant, Route } from '../../contract/pipeline.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { grantTo, shiftUnder } from '../catalog/fixtures.js';
import { serverPort } from '../support/ports.js';
import { untilTrue } from '../support/until.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** A real HTTP server in a replica's place. */
export class Upstream {
  requests: IncomingMessage[] = [];

  private constructor(
    readonly server: Server,
    readonly url: string,
  ) {}

  /** Without a handler it answers every prediction with its name, a few milliseconds later. */
  static async start(name: string, handler?: Handler, port?: number): Promise<Upstream> {
    const answer: Handler =
      handler ??
      (async (request, response) => {
        for await (const _ of request);
        await delay(Math.random() * 10);
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ output: name }));
      });
    const server = createServer((request, response) => {
      upstream.requests.push(request);
      // A request that breaks off ends its answer; what is asserted is seen by the client.
      void (async () => answer(request, response))().catch(() => response.destroy());
    });
    server.keepAliveTimeout = 75_000;
    server.listen(port ?? (await serverPort()), '127.0.0.1');
    await once(server, 'listening');
    const upstream = new Upstream(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return upstream;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Ends as if killed: connections are cut, answers under way are lost. */
  async kill(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

/** A gateway with a state folder of its own, and what it has logged. */
export class TestGateway {
  readonly log: string[] = [];
  private gateway: Gateway | null = null;

  private constructor(
    private readonly options: Omit<GatewayOptions, 'stateFolder' | 'logger' | 'listen'>,
    readonly stateFolder: string,
  ) {}

  static async start(
    options: Omit<GatewayOptions, 'stateFolder' | 'logger' | 'listen'>,
  ): Promise<TestGateway> {
    const gateway = new TestGateway(options, await mkdtemp(join(tmpdir(), 'slipway-gateway-')));
    await gateway.start();
    return gateway;
  }

  async start(): Promise<void> {
    const { log, stateFolder } = this;
    const logger = pino({}, { write: (line: string) => void log.push(line) });
    this.gateway = await startGateway({
      ...this.options,
      stateFolder,
      logger,
      listen: { host: '127.0.0.1', port: 0 },
    });
  }

  get url(): string {
    return this.gateway!.url;
  }

  async stop(): Promise<void> {
    await this.gateway?.close();
    this.gateway = null;
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.stateFolder, { recursive: true, force: true });
  }

  async predict(service: string, body: RequestInit['body'] = '{"input":1}', init: RequestInit = {}) {
    return await fetch(`${this.url}/v1/models/${service}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      ...init,
    });
  }

  /** Output of a prediction that must succeed. */
  async output(service: string): Promise<unknown> {
    const response = await this.predict(service);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return (JSON.parse(text) as { output: unknown }).output;
  }
}

/** Routes a service to these addresses by a deployment that succeeds. */
export async function routeTo(catalog: Catalog, service: string, urls: string[]): Promise<Route> {
  const grant: Grant = await grantTo(catalog, service, `${urls.join()} ${Math.random()}`);
  const { route } = await shiftUnder(catalog, grant, urls);
  await catalog.closeGrant(grant, 'succeeded');
  return route;
}

/** Waits as a deployment does: until every living gateway serves the version. */
export async function acknowledged(catalog: Catalog, version: number, budget = 60_000): Promise<void> {
  await untilTrue(async () => {
    const living = await catalog.livingGateways();
    return living.length > 0 && living.every((gateway) => gateway.version >= version);
  }, budget);
}

/** What an answer says went wrong. */
export async function problemOf(response: Response): Promise<{ type: string; message: string }> {
  return ((await response.json()) as { error: { type: string; message: string } }).error;
}
