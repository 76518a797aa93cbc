import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { endpoints, streams } from '../../contract/api.js';
import { stackAway, TestApi } from './server.js';

/** A path with something in the place of every parameter. */
const filled = (path: string): string => `/api/v1${path.replaceAll(/:\w+/g, 'ab')}`;

describe('the API', () => {
  let api: TestApi;
  before(async () => void (api = await TestApi.start(await stackAway())));
  after(() => api.close());

  const calls = [
    ...Object.values(endpoints).map(({ method, path }) => ({ method, path })),
    { method: 'PUT', path: streams.putPart },
    { method: 'GET', path: streams.logs },
  ];
  for (const { method, path } of calls)
    test(`refuses ${method} ${path} without the token, and with another`, async () => {
      for (const authorization of ['', 'Bearer ', `Bearer ${api.stack.token}x`, `Basic ${api.stack.token}`]) {
        const { status, body } = await api.request(filled(path), { method, headers: { authorization } });
        assert.equal(status, 401, authorization);
        assert.equal((body as { error: { type: string } }).error.type, 'Unauthorized');
        assert.ok(!JSON.stringify(body).includes(api.stack.token));
      }
    });

  test('says that it is up, and what it can do, to anyone', async () => {
    const headers = { authorization: '' };
    assert.equal((await api.request('/healthz', { headers })).status, 200);
    assert.equal((await api.request('/api/openapi.json', { headers })).status, 200);
  });

  test('answers nothing that a browser would run, frame or keep', async () => {
    const { headers } = await api.request('/healthz');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/);
  });
});
