import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stageActivities } from '../support/stages.js';
import { outages, wanted } from './outages.js';
import { meeting, stepsMet, unmet, type Outage } from './plan.js';

describe('a plan of outages under deployments that go on from step to step', () => {
  test('deployments are a step further at every outage, and others begin behind them', () => {
    const plan = [{ away: ['a'] }, { away: ['b'] }, { away: ['a', 'b'], joined: true }];
    assert.deepEqual(stepsMet(['one', 'two', 'three'], plan), [
      ['one', 'two', 'three'],
      ['two', 'three'],
      ['one', 'three'],
    ]);
  });

  test('servers away together are another fault than one of them', () => {
    assert.deepEqual(unmet([meeting(['a'], 'one')], [meeting(['b', 'a'], 'one')]), ['a in one']);
    assert.deepEqual(unmet([meeting(['a', 'b'], 'one')], [meeting(['b', 'a'], 'one')]), []);
  });

  const met = (plan: readonly Outage<string>[]): string[] =>
    stepsMet(stageActivities, plan).flatMap((steps, turn) =>
      steps.map((step) => meeting(plan[turn]!.away, step)),
    );

  test('the one for deployments on Docker has every stage meet what it calls, and all at once', () => {
    assert.deepEqual(unmet(wanted, met(outages)), []);
  });

  test('nothing in it can be left out', () => {
    for (const [turn, outage] of outages.entries()) {
      const without = outages.filter((other) => other !== outage);
      assert.notDeepEqual(unmet(wanted, met(without)), [], `without ${outage.away.join('+')}`);
      if (!outage.joined) continue;
      const alone = outages.with(turn, { away: outage.away });
      assert.notDeepEqual(unmet(wanted, met(alone)), [], `nobody joins for ${outage.away.join('+')}`);
    }
  });
});
