import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { ask } from '../../platform/targets/kubernetes/apiserver/ask.js';
import { KubernetesError } from '../../platform/targets/kubernetes/apiserver/errors.js';
import { Berth } from './berth.js';
import { killPart } from '../support/harm.js';

test('an apiserver that ends and starts again is a passing fault all the while, and no refusal', async () => {
  const berth = await Berth.open();
  try {
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
    const { cluster } = berth.as((await berth.somebody('patient', rules)).kubeconfig);
    const list = () => cluster.core.listNamespacedPod({ namespace: berth.name });
    await ask(cluster, 'listing pods', list);
    await killPart('apiserver', 'SIGKILL');
    const failures: string[] = [];
    for (const end = Date.now() + 60_000; ; await sleep(5)) {
      try {
        await ask(cluster, 'listing pods', list, { timeout: 2_000 });
        break;
      } catch (error) {
        assert.ok(error instanceof KubernetesError, inspect(error));
        assert.ok(Date.now() < end, error.message);
        failures.push(error.message);
      }
    }
    assert.ok(failures.some((message) => message.includes('cannot reach the cluster at https://')));
  } finally {
    await berth.close();
  }
});
