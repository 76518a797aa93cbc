import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { latencyAt, type TrafficFigures } from '../../contract/traffic.js';
import { untilTrue } from '../support/until.js';
import { type Upstream } from './fixtures.js';
import { GatewayWorld } from './world.js';

describe('the gateway counts what it sends to each release', () => {
  let world: GatewayWorld;
  let service: string;
  before(async () => {
    world = await GatewayWorld.open({ bodyLimit: 10_000, answerTimeout: 1_000 });
  });
  after(async () => {
    await world.close();
  });
  beforeEach(() => {
    service = world.service();
  });

  async function counted(requests: number, release = `${service}.r1`): Promise<TrafficFigures> {
    await untilTrue(async () => (await world.catalog.trafficOf(service, release)).requests >= requests);
    // More of them would come with the next report.
    await delay(1_200);
    const figures = await world.catalog.trafficOf(service, release);
    assert.equal(figures.requests, requests);
    assert.equal(
      figures.latency.reduce((sum, each) => sum + each, 0),
      requests,
    );
    return figures;
  }
  const answering = (status: number): Promise<Upstream> =>
    world.upstream(`${status}`, async (request, response) => {
      for await (const _ of request);
      response.writeHead(status).end('said');
    });

  test('by release, with the latency as the client has it', async () => {
    const slow = await world.upstream('slow', async (request, response) => {
      for await (const _ of request);
      await delay(150);
      response.end('{"output":"slow"}');
    });
    await world.route(service, (await world.upstream('one')).url);
    const { release } = await world.weigh(service, 25, [slow.url]);
    const took: Record<string, number[]> = { one: [], slow: [] };
    for (let count = 0; count < 40; count += 1) {
      const asked = performance.now();
      const output = String(await world.gateway.output(service));
      took[output]!.push(performance.now() - asked);
    }
    const [first, second] = [await counted(30), await counted(10, release)];
    assert.deepEqual([first.failures, second.failures], [0, 0]);
    for (const [figures, times] of [
      [first, took.one!],
      [second, took.slow!],
    ] as const) {
      // Buckets end a fifth above where they begin, and the client's own time is a little more.
      const [median, latency] = [times.toSorted((a, b) => a - b)[times.length / 2]!, latencyAt(figures, 50)!];
      assert.ok(latency <= median * 1.2, `${latency} ms, to the client ${median}`);
    }
    assert.ok(latencyAt(second, 1)! >= 150, `${latencyAt(second, 1)} ms`);
    const text = await (await fetch(`${world.gateway.url}/metrics`)).text();
    const [, seconds] = new RegExp(`_seconds_sum.*release="${release}"} ([\\d.]+)`).exec(text) ?? [];
    assert.ok(Number(seconds) >= 1.5, `${seconds} s of ten requests`);
  });

  test('what the replica could not answer is a failure; what it refused is none', async () => {
    for (const [status, failures] of [
      [500, 1],
      [503, 1],
      [422, 0],
      [200, 0],
    ] as const) {
      service = world.service();
      await world.route(service, (await answering(status)).url);
      assert.equal((await world.gateway.predict(service)).status, status);
      assert.equal((await counted(1)).failures, failures, `${status}`);
    }
  });

  test('no answer, none in time, one that breaks off, and no connection are failures', async () => {
    const cutting = await world.upstream('cutting', (request) => void request.socket.destroy());
    const silent = await world.upstream('silent', () => undefined);
    const breaking = await world.upstream('breaking', (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"out');
      setTimeout(() => response.destroy(), 100);
    });
    const gone = await world.upstream('gone');
    await gone.kill();
    for (const [{ url }, status] of [
      [cutting, 502],
      [silent, 504],
      [breaking, 200],
      [gone, 503],
    ] as const) {
      service = world.service();
      await world.route(service, url);
      const response = await world.gateway.predict(service);
      assert.equal(response.status, status);
      await response.text().catch(() => undefined);
      assert.equal((await counted(1)).failures, 1, `${status}`);
    }
  });

  test('clients that leave, send too much, or ask for nobody are not counted', async () => {
    const slow = await world.upstream('slow', async (request, response) => {
      for await (const _ of request);
      if (request.headers['x-wait']) await delay(600);
      response.end('{"output":1}');
    });
    await world.route(service, slow.url);
    const headers = { 'x-wait': '1' };
    const signal = AbortSignal.timeout(200);
    await assert.rejects(world.gateway.predict(service, '{}', { headers, signal }));
    assert.equal((await world.gateway.predict(service, Buffer.alloc(20_000))).status, 413);
    const stream = new Blob([Buffer.alloc(20_000)]).stream();
    const streamed = await world.gateway.predict(service, stream, { duplex: 'half' } as RequestInit);
    assert.equal(streamed.status, 413);
    assert.equal((await world.gateway.predict(`${service}-not`)).status, 404);
    await world.gateway.output(service);
    assert.equal((await counted(1)).failures, 0);
  });

  test('a request that the other release answered counts for that one', async () => {
    const gone = await world.upstream('gone');
    await world.route(service, (await world.upstream('one')).url);
    const { release } = await world.weigh(service, 50, [gone.url]);
    await gone.kill();
    for (let count = 0; count < 10; count += 1) await world.gateway.output(service);
    assert.equal((await counted(10)).failures, 0);
    assert.equal((await world.catalog.trafficOf(service, release)).requests, 0);
  });

  test('metrics tell of releases in routes, by service, release and status', async () => {
    // Counts nothing yet.
    await world.gateway.stop();
    await world.gateway.start();
    await world.route(service, (await world.upstream('one')).url);
    const { release } = await world.weigh(service, 50, [(await answering(500)).url]);
    for (let count = 0; count < 4; count += 1) await world.gateway.predict(service);
    await world.gateway.predict('made-up');
    await delay(50);
    const text = await (await fetch(`${world.gateway.url}/metrics`)).text();
    const requests = (of: string, status: number): string =>
      `slipway_gateway_requests_total{service="${service}",release="${of}",status="${status}"} 2`;
    assert.ok(text.includes(requests(`${service}.r1`, 200)), text);
    assert.ok(text.includes(requests(release, 500)), text);
    assert.ok(
      text.includes(`slipway_gateway_request_seconds_count{service="${service}",release="${release}"} 2`),
    );
    assert.match(text, /slipway_gateway_route_version \d/);
    assert.match(text, /slipway_gateway_requests_total\{service="unknown",release="",status="404"\} 1/);
    assert.doesNotMatch(text, /made-up/);
  });
});
