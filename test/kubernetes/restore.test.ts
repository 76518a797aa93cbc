import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { V1Service } from '@kubernetes/client-node';
import type { SlipwayError } from '../../contract/errors.js';
import type { Berth } from './berth.js';
import { blueGreen, canary, Quay, rolling } from './quay.js';
import { image, openBerth } from './simulated-berth.js';

/** All that a release can ask for. */
const everything = {
  replicas: 2,
  kubernetes: {
    ingress: { class: 'any', host: 'models.example.org', tlsSecret: 'iris-tls' },
    autoscaling: { min: 2, max: 4 },
    minAvailable: '50%',
  } as never,
};

describe('undoing a takeover in a cluster', () => {
  let berth: Berth;
  let quay: Quay;
  before(async () => {
    berth = await openBerth();
    quay = new Quay(berth, image);
  });
  after(async () => await berth.close());
  const undo = (token: number, before: unknown) =>
    berth.target.restore(berth.set(image, {}, { token }).grant, before, berth.watch());

  test('of a first release nothing remains', async () => {
    const takeover = await quay.begin(1, blueGreen, [], everything);
    const before = await quay.before(takeover);
    await berth.target.promote(takeover, berth.watch());
    assert.deepEqual(await undo(1, before), []);
    assert.deepEqual(await undo(1, before), []);
    assert.deepEqual(
      Object.keys(await quay.everything()).filter((name) => name.endsWith('/iris')),
      [],
    );
    await berth.target.remove(takeover.replicas[0]!, 0);
    assert.deepEqual(Object.keys(await quay.everything()), []);
    // And none comes back.
    await assert.rejects(berth.target.promote(takeover, berth.watch()), /fenced: deployment "iris--r1"/);
  });

  test('after the traffic has moved, all is exactly as it was', async () => {
    const live = await quay.first(everything, 2);
    const was = await quay.everything();
    const takeover = await quay.begin(3, blueGreen, live, {
      replicas: 3,
      kubernetes: { ingress: { host: 'other.example.org', annotations: { 'example.org/a': 'b' } } as never },
    });
    const before = await quay.before(takeover);
    await berth.target.promote(takeover, berth.watch());
    await quay.awaitBehind('iris--r3');
    assert.deepEqual(await undo(3, before), []);
    await quay.awaitBehind('iris--r2');
    await berth.target.remove(takeover.replicas[0]!, 0);
    assert.deepEqual(await quay.everything(), was);
    assert.deepEqual(await undo(3, before), []);
    assert.deepEqual(await quay.everything(), was);
  });

  test('at any point of a roll: live replicas are back and ready before they get all the traffic', async () => {
    const live = [{ node: berth.name, name: 'iris--r2', url: 'http://nowhere' }];
    const was = await quay.everything();
    for (const [token, stopAt] of [
      [4, 1],
      [5, 2],
      [6, null],
    ] as const) {
      const takeover = await quay.begin(token, rolling(1, 0), live, everything);
      const before = await quay.before(takeover);
      const stop = new AbortController();
      let shares = 0;
      const rolls = berth.target.roll(takeover, berth.watch(stop.signal), () => {
        if (++shares === stopAt) stop.abort(new Error('cancelled'));
        return Promise.resolve();
      });
      if (stopAt === null) await rolls;
      else await assert.rejects(rolls, /cancelled/);
      assert.deepEqual(await undo(token, before), []);
      assert.deepEqual(await quay.replicas('iris--r2'), [2, 2]);
      await quay.awaitBehind('iris--r2');
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await quay.everything(), was, `stopped at share ${stopAt}`);
    }
  });

  test('what somebody has changed meanwhile is told and put back, what is only theirs stays', async () => {
    const live = [{ node: berth.name, name: 'iris--r2', url: 'http://nowhere' }];
    // It would answer the change of the number of replicas.
    await berth.kubectl('delete', 'hpa/iris');
    const was = await quay.everything();
    const takeover = await quay.begin(7, blueGreen, live, { replicas: 1 });
    const before = await quay.before(takeover);
    const edit = (what: string, patch: object, type = 'merge') =>
      berth.kubectl(
        'patch',
        what,
        '-n',
        berth.name,
        `--type=${type}`,
        '--field-manager=kubectl-edit',
        '-p',
        JSON.stringify(patch),
      );
    await edit('service/iris', [{ op: 'replace', path: '/spec/ports/0/port', value: 8080 }], 'json');
    await edit('service/iris', { metadata: { annotations: { 'example.org/mine': 'yes' } } });
    await edit('ingress/iris', { spec: { rules: [{ host: 'evil.example.org' }] } });
    await edit('pdb/iris', { spec: { minAvailable: 0 } });
    await edit('deployment/iris--r2', {
      spec: { replicas: 1, template: { spec: { terminationGracePeriodSeconds: 20 } } },
    });
    await berth.kubectl('delete', 'service', 'iris--r2');
    const notes = await undo(7, before);
    const told = notes.join('\n');
    for (const expected of [
      /service "iris" .*: spec\.ports\[\d\].* was changed by "kubectl-edit" .*8080.*: put back/,
      /ingress "iris" .*: spec\.rules.* was changed by "kubectl-edit" from .*models\.example\.org.* to .*evil\.example\.org.*: put back/,
      /poddisruptionbudget "iris" .*: spec\.minAvailable was changed by "kubectl-edit" from "50%" to 0: put back/,
      /deployment "iris--r2" .*: spec\.replicas was changed by "kubectl-edit" from 2 to 1: put back/,
      /deployment "iris--r2" .*: spec\.template\.spec\.terminationGracePeriodSeconds was changed by "kubectl-edit"/,
      /service "iris--r2" .* had been removed: made again/,
    ])
      assert.match(told, expected);
    const mine = (await berth.get<V1Service>('service', 'iris')).metadata?.annotations?.['example.org/mine'];
    assert.equal(mine, 'yes');
    assert.deepEqual(await quay.replicas('iris--r2'), [2, 2]);
    await berth.target.remove(takeover.replicas[0]!, 0);
    const now = await quay.everything();
    for (const [name, state] of Object.entries(was)) {
      const { annotations, ...rest } = now[name] as { annotations: Record<string, string> };
      const { 'slipway.dev/drift': _, ...others } = annotations;
      assert.deepEqual({ annotations: others, ...rest }, state, name);
    }
    // An undo that is cut short is repeated: people are told all the same.
    assert.deepEqual(
      (await undo(7, before)).filter((text) => text.includes('kubectl-edit')).sort(),
      notes.filter((text) => text.includes('kubectl-edit')).sort(),
    );
  });

  test('a later deployment is not disturbed by a late undo, and its own undo still is exact', async () => {
    const live = [{ node: berth.name, name: 'iris--r2', url: 'http://nowhere' }];
    const taken = await quay.begin(8, blueGreen, live, everything);
    const before = await quay.before(taken);
    await undo(8, before);
    await berth.target.remove(taken.replicas[0]!, 0);
    const next = await quay.begin(9, rolling(2, 0), live, everything);
    await berth.target.roll(next, berth.watch(), () => Promise.resolve());
    await berth.target.promote(next, berth.watch());
    const now = await quay.everything();
    assert.deepEqual(await undo(8, before), []);
    assert.deepEqual(await quay.everything(), now);
    await quay.awaitBehind('iris--r9');
    await berth.target.remove(live[0]!, 0);
  });

  describe('an attempt that was presumed dead', () => {
    let live: { node: string; name: string; url: string }[];
    before(() => {
      live = [{ node: berth.name, name: 'iris--r9', url: 'http://nowhere' }];
    });

    const signal = () => {
      let resolve = () => {};
      const promise = new Promise<void>((done) => (resolve = done));
      return { promise, resolve };
    };

    /** The same installation in another process, held between what it has read and what it writes next. */
    function held(method: 'patch' | 'create' | 'delete', which: (name: string) => boolean) {
      const late = berth.other({});
      const real = late.cluster.objects[method].bind(late.cluster.objects) as (
        ...all: unknown[]
      ) => Promise<never>;
      const [reached, release] = [signal(), signal()];
      Object.assign(late.cluster.objects, {
        [method]: async (...all: unknown[]) => {
          const { kind, metadata } = all[0] as { kind: string; metadata: { name: string } };
          if (which(`${kind}/${metadata.name}`)) {
            reached.resolve();
            await release.promise;
          }
          return await real(...all);
        },
      });
      return { late, reached: reached.promise, release: release.resolve };
    }

    const fenced = (error: SlipwayError) => error.type === 'Conflict' && error.message.startsWith('fenced:');

    test('cannot promote', async () => {
      const was = await quay.everything();
      const takeover = await quay.begin(10, blueGreen, live, everything);
      const before = await quay.before(takeover);
      for (const kind of ['Service', 'Ingress', 'HorizontalPodAutoscaler']) {
        const { late, reached, release } = held('patch', (name) => name === `${kind}/iris`);
        const attempt = late.target.promote(takeover, late.watch());
        attempt.catch(() => undefined);
        await reached;
        await undo(10, before);
        release();
        await assert.rejects(attempt, fenced);
        await berth.kubectl('annotate', 'deployment/iris--r10', 'slipway.dev/fence-');
        await berth.kubectl(
          'annotate',
          'service/iris',
          'ingress/iris',
          'pdb/iris',
          'hpa/iris',
          'deployment/iris--r9',
          'slipway.dev/fence-',
        );
      }
      await undo(10, before);
      await quay.awaitBehind('iris--r9');
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await quay.everything(), was);
    });

    test('cannot make what the undo has removed', async () => {
      await berth.kubectl('delete', 'ingress/iris');
      const was = await quay.everything();
      const takeover = await quay.begin(11, blueGreen, live, everything);
      const before = await quay.before(takeover);
      const { late, reached, release } = held('create', (name) => name === 'Ingress/iris');
      const attempt = late.target.promote(takeover, late.watch());
      attempt.catch(() => undefined);
      await reached;
      await undo(11, before);
      release();
      await assert.rejects(attempt, fenced);
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await quay.everything(), was);
    });

    test('cannot take live replicas away, nor the autoscaler', async () => {
      const was = await quay.everything();
      const takeover = await quay.begin(12, rolling(1, 0), live, everything);
      const before = await quay.before(takeover);
      const { late, reached, release } = held('patch', (name) => name === 'Deployment/iris--r9');
      const attempt = late.target.roll(takeover, late.watch(), () => Promise.resolve());
      attempt.catch(() => undefined);
      await reached;
      await undo(12, before);
      release();
      await assert.rejects(attempt, fenced);
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await quay.everything(), was);

      const again = await quay.begin(13, rolling(1, 0), live, everything);
      const once = await quay.before(again);
      const second = held('delete', (name) => name === 'HorizontalPodAutoscaler/iris');
      const rolls = second.late.target.roll(again, second.late.watch(), () => Promise.resolve());
      rolls.catch(() => undefined);
      await second.reached;
      await undo(13, once);
      second.release();
      await assert.rejects(rolls, fenced);
      await berth.target.remove(again.replicas[0]!, 0);
      assert.deepEqual(await quay.everything(), was);
    });

    test('cannot share', async () => {
      const was = await quay.everything();
      const takeover = await quay.begin(14, canary('replicas'), live, everything);
      const before = await quay.before(takeover);
      const { late, reached, release } = held('patch', (name) => name === 'Service/iris');
      const attempt = late.target.share(takeover, 50, late.watch());
      attempt.catch(() => undefined);
      await reached;
      await undo(14, before);
      release();
      await assert.rejects(attempt, fenced);
      await berth.target.remove(takeover.replicas[0]!, 0);
      assert.deepEqual(await quay.everything(), was);
    });
  });
});
