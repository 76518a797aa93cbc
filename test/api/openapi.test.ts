import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { openapi } from '../../api/openapi.js';
import { endpoints, streams } from '../../contract/api.js';

describe('the OpenAPI document', () => {
  type Operation = { operationId: string; parameters: { name: string; in: string }[]; requestBody?: unknown };
  const document = openapi() as { paths: Record<string, Record<string, Operation>> };

  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document));
    assert.ok(valid, JSON.stringify(errors, null, 2));
    assert.equal(validator.version, '3.1');
  });

  test('has every call that the client has, with its parameters', () => {
    const calls = [
      ...Object.entries(endpoints),
      ['putPart', { method: 'PUT', path: streams.putPart, body: null }] as const,
      ['logs', { method: 'GET', path: streams.logs, body: null }] as const,
    ];
    for (const [name, { method, path, body }] of calls) {
      const operation = document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
      assert.equal(operation?.operationId, name);
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path');
      assert.deepEqual(
        inPath.map((parameter) => parameter.name).sort(),
        [...path.matchAll(/:(\w+)/g)].map((match) => match[1]).sort(),
      );
      if (name !== 'putPart') assert.equal(operation.requestBody !== undefined, body !== null, name);
    }
    const documented = Object.values(document.paths).flatMap((methods) => Object.keys(methods));
    assert.equal(documented.length, calls.length);
  });
});
