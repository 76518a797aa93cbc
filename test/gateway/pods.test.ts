import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import pLimit from 'p-limit';
import { Pool } from 'undici';
import type { ImageRef } from '../../contract/names.js';
import type { Replica } from '../../contract/pipeline.js';
import { connections } from '../../contract/serving.js';
import { BuildWorld } from '../build/world.js';
import { Berth } from '../kubernetes/berth.js';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { GatewayWorld } from './world.js';

const path = '/v1/models/iris/predict';
const headers = { 'content-type': 'application/json' };
/** Names the pod that answers. */
const code = `
import os
class k8s_api_model:
    def load(self, model_path):
        return os.uname().nodename
    def predict(self, session, input):
        return session
`;
import { holdPart, releasePart } from '../support/harm.js';

describe('pods come and go behind one address', () => {
  let world: GatewayWorld;
  let berth: Berth;
  let image: ImageRef;
  let replica: Replica;
  let client: Pool;
  const ends: (() => unknown)[] = [];
  before(async () => {
    const builds = await BuildWorld.open({ after: (end) => void ends.push(end as () => unknown) });
    image = await (
      await builds.prepare({ model: 'gateway-pods', files: { 'k8s_api_model.py': code } })
    ).run();
    world = await GatewayWorld.open();
    client = new Pool(world.gateway.url);
    berth = await Berth.open({ drain: 5_000 });
    const resources = { cpu: 0.05, memory: '128Mi' };
    replica = await berth.up(berth.set(image, { replicas: 3, resources }));
    await world.route('iris', replica.url);
  });
  after(async () => {
    await berth?.close();
    await client?.close();
    await world?.close();
    for (const end of ends) await end();
  });

  // On a machine that is busy otherwise, requests wait here and not in a queue of connections.
  const limit = pLimit(64);
  const ask = (): Promise<string> =>
    limit(async () => {
      const { statusCode, body } = await client.request({
        method: 'POST',
        path,
        headers,
        body: '{"input":1}',
      });
      if (statusCode !== 200) throw new Error(`${statusCode} ${await body.text()}`);
      return ((await body.json()) as { output: string }).output;
    });

  const pods = async (): Promise<V1Pod[]> =>
    (await berth.get<{ items: V1Pod[] }>('pods')).items.filter(
      ({ metadata }) => !metadata?.deletionTimestamp,
    );
  async function scale(count: number): Promise<void> {
    await berth.kubectl('scale', `deployment/${replica.name}`, `--replicas=${count}`);
    await settled(count);
  }
  /** Connections that could not be made, so far. */
  async function refused(): Promise<number> {
    const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text();
    return Number(/^slipway_gateway_refused_connections_total (\d+)/m.exec(metrics)?.[1]);
  }
  const ready = async (): Promise<number> =>
    (await pods()).filter(({ status }) =>
      status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    ).length;
  /** So many are ready, and those that end are gone. */
  async function settled(count: number): Promise<void> {
    await untilTrue(async () => (await ready()) === count, 90_000);
    await untilTrue(async () => (await berth.get<{ items: V1Pod[] }>('pods')).items.length === count, 60_000);
  }

  test('100 requests a second through the gateway, and a client with connections of its own, lose none', async (t) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const through = new Traffic(ask, 100);
    const beside = new Traffic(() => predict(agent, replica.url), 30);
    const stopped = (): Promise<unknown> => Promise.all([through.stop(), beside.stop()]);
    t.after(stopped);
    await delay(2_000);
    await scale(1);
    await scale(3);
    for (const { metadata } of await pods()) {
      await berth.kubectl('delete', 'pod', metadata!.name!, '--wait=false');
      await settled(3);
    }
    // Requests come to the pods that are there by now, about as many to each.
    const names = (await pods()).map(({ metadata }) => metadata!.name!);
    const before = new Map(through.answers);
    const sent = through.sent;
    await delay(10_000);
    const counts = names.map((name) => (through.answers.get(name) ?? 0) - (before.get(name) ?? 0));
    const all = through.sent - sent;
    await stopped();
    agent.destroy();
    assert.deepEqual([through.failures, beside.failures], [[], []]);
    for (const count of counts)
      assert.ok(count > all * 0.15 && count < all * 0.55, `${counts.join()} of ${all}`);
    assert.ok(through.answers.size >= 8, `${through.answers.size} pods answered`);
    const counted = await world.catalog.trafficOf('iris', 'iris.r1');
    assert.equal(counted.failures, 0);
  });

  test('all pods are deleted at once: they answer until the new ones do, and lose nothing they were sent', async (t) => {
    const through = new Traffic(ask, 50);
    t.after(() => through.stop());
    await delay(500);
    const names = (await pods()).map(({ metadata }) => metadata!.name!);
    const deleted = Date.now();
    await berth.kubectl('delete', 'pod', ...names, '--wait=false');
    await untilTrue(async () => (await ready()) > 0, 90_000);
    const gap = Date.now() - deleted;
    await settled(3);
    await through.stop();
    // Whoever asks when nobody is there any more hears that nothing was sent.
    for (const failure of through.failures) assert.match(failure, /503 .*accepts a connection/);
    if (gap < connections.linger) assert.deepEqual(through.failures, []);
  });

  test('a proxy goes on leading to a pod that is no more: requests are answered by those that are', async (t) => {
    await scale(2);
    const [gone] = (await pods()).map(({ metadata }) => metadata!.name!);
    t.after(() => releasePart('proxy'));
    // As for half a minute after the apiserver was away.
    await holdPart('proxy');
    const through = new Traffic(ask, 100);
    t.after(() => through.stop());
    await berth.kubectl('delete', 'pod', gone!);
    const before = await refused();
    await delay(15_000);
    await through.stop();
    assert.deepEqual(through.failures.slice(0, 5), []);
    assert.ok((await refused()) - before > 10, 'connections that led nowhere');
  });
});

/** One prediction on one of the agent's connections, never tried again. Answers the pod that gave it. */
async function predict(agent: Agent, url: string): Promise<string> {
  const asked = request(`${url}/predict`, { agent, method: 'POST' });
  asked.end('{"input":1}');
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${body}`);
  return (JSON.parse(body) as { output: string }).output;
}
