import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serviceName, workloadName } from '../../platform/targets/kubernetes/objects/names.js';

/** https://www.rfc-editor.org/rfc/rfc1035: what a Service may be called. */
const label = /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

describe('names in a cluster', () => {
  test('a service keeps its name where it may', () => {
    for (const name of ['iris', 'churn-eu', 'm2', 'a-b-c']) assert.equal(serviceName(name), name);
  });

  test('any other gets a readable one with a hash', () => {
    assert.match(serviceName('credit_risk'), /^credit-risk-[0-9a-f]{8}$/);
    assert.match(serviceName('2nd-model'), /^s2nd-model-[0-9a-f]{8}$/);
    assert.match(serviceName('a--b'), /^a-b-[0-9a-f]{8}$/);
  });

  test('no two services, and no release and service, ever collide', () => {
    const long = 'x'.repeat(63);
    const services = [
      ...['a-b', 'a_b', 'a--b', 'a-_b', 'a__b', '2a', 's2a', 'iris', 'iris--r7', 'iris-r7', 'iris_r7'],
      ...[long, `${long.slice(0, 62)}y`, long.slice(0, 40), long.slice(0, 41), serviceName('a_b')],
    ];
    const names = services.map(serviceName);
    const workloads = services.flatMap((service) => [
      workloadName(service, 7, 'serve'),
      workloadName(service, 7, 'check'),
    ]);
    const all = [...names, ...workloads];
    assert.equal(new Set(all).size, all.length);
    for (const name of all) assert.match(name, label);
    assert.ok(workloadName(long, 1_000_000_000, 'check').length <= 63);
  });
});
