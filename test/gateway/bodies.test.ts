import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { problemOf } from './fixtures.js';
import { GatewayWorld } from './world.js';
import { untilTrue } from '../support/until.js';

describe('bodies and headers through the gateway', () => {
  let world: GatewayWorld;
  let service: string;
  before(async () => {
    world = await GatewayWorld.open({ bodyLimit: 1_000_000, answerTimeout: 1_000 });
  });
  after(async () => {
    await world.close();
  });
  beforeEach(() => {
    service = world.service();
  });

  test('what the replica says of the input comes back as it is', async () => {
    const refusing = await world.upstream('refusing', (_request, response) => {
      response.writeHead(422, {
        'content-type': 'text/plain',
        connection: 'close, x-hop',
        'x-hop': '1',
        'x-kept': '1',
      });
      response.end('no such feature');
    });
    await world.route(service, refusing.url);
    const response = await world.gateway.predict(service);
    assert.equal(response.status, 422);
    assert.equal(await response.text(), 'no such feature');
    assert.equal(response.headers.get('x-kept'), '1');
    assert.equal(response.headers.get('x-hop'), null);
  });

  test('headers of the connection and credentials stay at the gateway', async () => {
    const seen = await world.upstream('one');
    await world.route(service, seen.url);
    const headers = {
      'x-kept': '1',
      'x-hop': '1',
      cookie: 'a=b',
      authorization: 'Bearer t',
      te: 'trailers',
      connection: 'x-hop',
    };
    const socket = openSocket(world.gateway.url);
    socket.write(`${post(service, { 'content-length': '2', ...headers })}{}`);
    await once(socket, 'data');
    socket.destroy();
    const got = seen.requests[0]!.headers;
    assert.equal(got['x-kept'], '1');
    assert.equal(got.host, new URL(seen.url).host);
    for (const name of ['x-hop', 'cookie', 'authorization', 'te']) assert.equal(got[name], undefined, name);
  });

  test('bodies and answers pass through piece by piece', async () => {
    const echo = await world.upstream('echo', (request, response) => void request.pipe(response));
    await world.route(service, echo.url);
    let say: (text: string) => void = () => undefined;
    const body = new ReadableStream({
      start: (controller) => {
        say = (text) => (text ? controller.enqueue(Buffer.from(text)) : controller.close());
      },
    });
    const asked = world.gateway.predict(service, body, { duplex: 'half' } as RequestInit);
    say('one');
    const reader = (await asked).body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'one');
    say('two');
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'two');
    say('');
    assert.equal((await reader.read()).done, true);
  });

  test('a body over the limit is refused, announced or not', async () => {
    const one = await world.upstream('one');
    await world.route(service, one.url);
    const large = Buffer.alloc(1_500_000);
    const announced = await world.gateway.predict(service, large);
    assert.equal(announced.status, 413);
    assert.equal((await problemOf(announced)).type, 'InvalidInput');
    assert.equal(one.requests.length, 0);
    const stream = new Blob([large]).stream();
    const streamed = await world.gateway.predict(service, stream, { duplex: 'half' } as RequestInit);
    assert.equal(streamed.status, 413);
    assert.equal((await world.gateway.predict(service, Buffer.alloc(900_000))).status, 200);
  });

  test('a replica that answers before it has read the body is heard', async () => {
    const hasty = await world.upstream(
      'hasty',
      (_request, response) => void response.writeHead(400).end('too odd'),
    );
    await world.route(service, hasty.url);
    const body = new ReadableStream({
      async pull(controller) {
        await delay(20);
        controller.enqueue(Buffer.alloc(10_000));
      },
    });
    const response = await world.gateway.predict(service, body, { duplex: 'half' } as RequestInit);
    assert.equal(response.status, 400);
    assert.equal(await response.text(), 'too odd');
  });

  test('what such a replica left unread does not hold up the next request on the connection', async () => {
    const hasty = await world.upstream(
      'hasty',
      (_request, response) => void response.writeHead(400).end('too odd'),
    );
    await world.route(service, hasty.url);
    const socket = openSocket(world.gateway.url);
    let answers = '';
    socket.on('data', (data) => (answers += data.toString()));
    socket.write(post(service, { 'content-length': '900000' }));
    for (let piece = 0; piece < 90; piece += 1) {
      socket.write(Buffer.alloc(10_000));
      await delay(1);
    }
    socket.write(`${post(service, { 'content-length': '2' })}{}`);
    await untilTrue(() => answers.split('too odd').length === 3);
    socket.destroy();
  });

  test('any content type, none, and empty bodies pass', async () => {
    await world.route(service, (await world.upstream('one')).url);
    const npy = { headers: { 'content-type': 'application/x-npy; version=1' } };
    assert.equal((await world.gateway.predict(service, 'x', npy)).status, 200);
    assert.equal((await world.gateway.predict(service, Buffer.from('x'), { headers: {} })).status, 200);
    assert.equal((await world.gateway.predict(service, null, { headers: {} })).status, 200);
    const bad = await world.gateway.predict(service, 'x', { headers: { 'content-type': 'not a type' } });
    assert.equal(bad.status, 415);
    assert.equal((await problemOf(bad)).type, 'InvalidInput');
  });
});

/** `fetch` lets nobody set connection headers or choose a connection. */
const post = (service: string, headers: Record<string, string>): string =>
  Object.entries({ host: 'gateway', ...headers }).reduce(
    (head, [name, value]) => `${head}${name}: ${value}\r\n`,
    `POST /v1/models/${service}/predict HTTP/1.1\r\n`,
  ) + '\r\n';

function openSocket(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname);
}
