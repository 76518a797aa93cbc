import { z } from 'zod';
import { ApiError, endpoints, streams, type Endpoint } from '../contract/api.js';

/** OpenAPI 3.1 of `/api/v1`, from the schemas that requests are validated with. https://spec.openapis.org/oas/v3.1.1.html */
export function openapi(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [operationId, endpoint] of Object.entries(endpoints) as [string, Endpoint][])
    (paths[template(endpoint.path)] ??= {})[endpoint.method.toLowerCase()] = operation(operationId, endpoint);
  paths[template(streams.putPart)] = {
    put: {
      operationId: 'putPart',
      summary: 'one part of an upload, as raw bytes; refused when `content-md5` does not match',
      parameters: ['model', 'id', 'number'].map((name) => parameter(name, 'path', { type: 'string' }, true)),
      requestBody: { required: true, content: { 'application/octet-stream': {} } },
      responses: { 204: { description: 'stored' }, default: failure },
    },
  };
  paths[template(streams.logs)] = {
    get: {
      operationId: 'logs',
      summary: 'build log, and what failed replicas said last; follows a deployment until its end',
      parameters: [
        parameter('id', 'path', { type: 'string' }, true),
        parameter('run', 'query', { type: 'string' }, false),
        parameter('follow', 'query', { type: 'boolean' }, false),
      ],
      responses: { 200: { description: 'the log', content: { 'text/plain': {} } }, default: failure },
    },
  };
  return {
    openapi: '3.1.0',
    info: { title: 'Slipway', version: '1' },
    servers: [{ url: '/api/v1' }],
    security: [{ bearer: [] }],
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
}

const failure = { description: 'what went wrong', content: json(ApiError) };

function operation(
  operationId: string,
  { params, query, body, response }: Endpoint,
): Record<string, unknown> {
  return {
    operationId,
    parameters: [...parameters(params, 'path'), ...parameters(query, 'query')],
    ...(body ? { requestBody: { required: true, content: json(body, 'input') } } : {}),
    responses: { 200: { description: 'done', content: json(response) }, default: failure },
  };
}

function parameters(schema: z.ZodType, where: 'path' | 'query'): unknown[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  }) as {
    properties?: Record<string, unknown>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, property]) =>
    parameter(name, where, property, where === 'path' || required.includes(name)),
  );
}

const parameter = (name: string, where: string, schema: unknown, required: boolean): unknown => ({
  name,
  in: where,
  required,
  schema,
});

function json(schema: z.ZodType, io: 'input' | 'output' = 'output'): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return { 'application/json': { schema: rest } };
}

const template = (path: string): string => path.replace(/:(\w+)/g, '{$1}');
