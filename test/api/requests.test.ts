import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ApiClient, ApiFailure } from '../../api/client.js';
import type { ApiError } from '../../contract/api.js';
import { stackAway, TestApi } from './server.js';

describe('a request', () => {
  let api: TestApi;
  before(async () => void (api = await TestApi.start(await stackAway())));
  after(() => api.close());

  const post = async (path: string, body: string) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await api.request(path, { method: 'POST', headers, body });
    return { status: answer.status, error: (answer.body as ApiError).error };
  };

  for (const { what, body, field } of [
    { what: 'a model that is no name', body: { model: 'Iris!' }, field: 'model' },
    { what: 'a date that does not exist', body: { model: 'iris', weights: '20260230' }, field: 'weights' },
    { what: 'a field nobody knows', body: { model: 'iris', replica: 2 }, field: 'replica' },
    {
      what: 'a size that is none',
      body: { model: 'iris', resources: { memory: 'lots' } },
      field: 'resources.memory',
    },
  ])
    test(`with ${what} is refused, and the field named`, async () => {
      const { status, error } = await post('/api/v1/deployments', JSON.stringify(body));
      assert.equal(status, 400);
      assert.equal(error.type, 'InvalidInput');
      assert.ok(error.message.includes(field), error.message);
    });

  test('for a service whose name would end a query is refused', async () => {
    const name = encodeURIComponent('x" OR WorkflowType="modelService');
    const { status, body } = await api.request(`/api/v1/deployments?service=${name}`);
    assert.equal(status, 400);
    assert.match((body as ApiError).error.message, /service: must be 2 to 63 characters/);
  });

  test('that is no JSON is refused', async () => {
    assert.equal((await post('/api/v1/deployments', '{"model":')).error.type, 'InvalidInput');
  });

  test('larger than what Temporal may carry is refused before it gets there', async () => {
    const samples = [{ input: 'x'.repeat(3 * 2 ** 20) }];
    const { status, error } = await post(
      '/api/v1/deployments',
      JSON.stringify({ model: 'iris', verify: { samples } }),
    );
    assert.deepEqual([status, error.type], [400, 'InvalidInput']);
  });

  test('to nowhere is told so', async () => {
    const { status, body } = await api.request('/api/v1/nothing');
    assert.deepEqual([status, (body as ApiError).error.type], [404, 'NotFound']);
  });

  test('that the client makes fails with type, status and message', async () => {
    const wrong = new ApiClient(api.url, 'wrong');
    try {
      await assert.rejects(
        wrong.call('listServices'),
        (error) => error instanceof ApiFailure && error.status === 401 && error.type === 'Unauthorized',
      );
    } finally {
      await wrong.close();
    }
  });
});
