import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { localTemporal } from '../support/temporal.js';
import { failureOf, Laboratory } from '../support/workflows.js';

const laboratory = await Laboratory.open(localTemporal());
after(() => laboratory.close());

/** An input, and the fields that the refusal names. */
const refused: [unknown, ...string[]][] = [
  [undefined, ''],
  ['iris', ''],
  [{}, 'model'],
  [{ model: 'Iris' }, 'model'],
  [{ model: 'x' }, 'model'],
  [{ model: 'iris', service: 'iris live' }, 'service'],
  [{ model: 'iris', weights: '20240230' }, 'weights'],
  [{ model: 'iris', weights: 'newest' }, 'weights'],
  [{ model: 'iris', recipe: 'magic' }, 'recipe'],
  [{ model: 'iris', target: 'moon' }, 'target'],
  [{ model: 'iris', replicas: 0 }, 'replicas'],
  [{ model: 'iris', replicas: '2' }, 'replicas'],
  [{ model: 'iris', port: 65_536 }, 'port'],
  [{ model: 'iris', resources: { memory: '1 gig' } }, 'resources.memory'],
  [{ model: 'iris', resources: { cpu: -1 } }, 'resources.cpu'],
  [{ model: 'iris', verify: { latencyBudget: 'soon' } }, 'verify.latencyBudget'],
  [{ model: 'iris', verify: { samples: [{ input: 1, tolerance: -1 }] } }, 'verify.samples.0.tolerance'],
  [{ model: 'iris', strategy: { kind: 'canary' } }, 'strategy.steps'],
  [{ model: 'iris', strategy: { kind: 'cautious' } }, 'strategy.kind'],
  [{ model: 'iris', strategy: { kind: 'rolling', maxSurge: 0 } }, 'strategy.maxUnavailable'],
  [
    { model: 'iris', strategy: { kind: 'rolling', maxSurge: '0%', maxUnavailable: '0%' } },
    'strategy.maxUnavailable',
  ],
  [
    {
      model: 'iris',
      strategy: {
        kind: 'canary',
        steps: [
          { weight: 50, pause: true },
          { weight: 10, for: '5m' },
        ],
      },
    },
    'strategy.steps.1.weight',
  ],
  [{ model: 'iris', strategy: { kind: 'canary', steps: [{ weight: 50 }] } }, 'strategy.steps.0'],
  [{ model: 'iris', strategy: { kind: 'canary', steps: [{ weight: 50, for: '5h' }] } }, 'deadline'],
  [
    { model: 'iris', strategy: analysed({ url: 'http://ann:secret@prometheus:9090' }) },
    'strategy.analysis.prometheus.url',
  ],
  [{ model: 'iris', strategy: analysed({ url: 'file:///etc/passwd' }) }, 'strategy.analysis.prometheus.url'],
  [
    { model: 'iris', strategy: analysed({ query: 'up{pod="{{pod}}"}' }) },
    'strategy.analysis.prometheus.checks.0.query',
  ],
  [{ model: 'iris', kubernetes: { namespace: 'team' } }, 'kubernetes'],
  [{ model: 'iris', approval: { deadline: 'tomorrow' } }, 'approval.deadline'],
  [{ model: 'iris', deadline: '4 hours' }, 'deadline'],
  [
    { model: 'iris', strategy: { kind: 'canary', steps: [{ weight: 50, for: 'ever' }] } },
    'strategy.steps.0.for',
  ],
  [{ model: 'iris', onConflict: 'maybe' }, 'onConflict'],
  [{ model: 'iris', onFailure: 'shrug' }, 'onFailure'],
  [{ model: 'iris', rollbackTo: 'yesterday' }, 'rollbackTo'],
  [{ model: 'iris', replicas: 0, port: 0 }, 'replicas', 'port'],
];

describe('bad input', { concurrency: 8, timeout: 300_000 }, () => {
  for (const [input, ...fields] of refused)
    test(`${JSON.stringify(input) ?? 'none at all'} fails at once, naming ${fields.join(' and ') || 'what is expected'}`, async () => {
      const deployment = await laboratory.start(input);
      const { type, message, nonRetryable, details } = await failureOf(deployment);
      assert.deepEqual([type, nonRetryable], ['InvalidInput', true]);
      for (const field of fields) assert.match(message, new RegExp(`^deployment input: .*${field}`));
      const issues = details['issues'] as { field: string }[];
      assert.deepEqual([...new Set(issues.map(({ field }) => field))], fields);
      assert.deepEqual(laboratory.activitiesOf(deployment.workflowId), []);
    });

  for (const input of [
    { model: 'iris', replica: 2 },
    { model: 'iris', verify: { latency: '1s' } },
  ])
    test(`${JSON.stringify(input)} fails at once, naming the key that nobody knows`, async () => {
      const { type, message } = await failureOf(await laboratory.start(input));
      assert.equal(type, 'InvalidInput');
      assert.match(message, 'verify' in input ? /verify: .*"latency"/ : /"replica"/);
    });

  test('of a date that is none says so', async () => {
    const { message } = await failureOf(await laboratory.start({ model: 'iris', weights: '20240230' }));
    assert.match(message, /weights: .*is not a date that exists/);
  });
});

function analysed({
  url = 'http://prometheus:9090',
  query = 'up',
}: {
  url?: string;
  query?: string;
}): unknown {
  const prometheus = { url, checks: [{ name: 'up', query, min: 1 }] };
  return { kind: 'canary', steps: [{ weight: 10, for: '1m' }], analysis: { prometheus } };
}
