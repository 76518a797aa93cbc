import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../../contract/errors.js';
import type { Strategy } from '../../../contract/strategy.js';
import { passing } from './failures.js';
import { withTarget, type Dock, type Open } from './opened.js';

const blueGreen: Strategy = { kind: 'blueGreen', keep: '10m' };

export const replicas = (open: Open) =>
  describe('replicas come and go', () => {
    let dock: Dock;
    withTarget(open, (given) => (dock = given));

    test('their places are known before they are there, and are always the same', async () => {
      const set = await dock.set({}, { replicas: 2 });
      const planned = dock.target.place(set);
      assert.deepEqual(dock.target.place(set), planned);
      const others = await Promise.all([
        dock.set({}, { replicas: 2 }),
        dock.set({}, { replicas: 2 }, { token: set.grant.token, role: 'check' }),
        dock.set({}, { replicas: 2 }, { token: set.grant.token, service: 'lily' }),
      ]);
      const names = [set, ...others].flatMap((one) => dock.target.place(one)).map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
      const started = await dock.start(set);
      assert.deepEqual(
        started.map(({ node, name }) => `${node}/${name}`),
        planned.map(({ node, name }) => `${node}/${name}`),
      );
      await dock.remove(started);
    });

    test('started again, also six times at once, each is there once and keeps its address', async () => {
      // What an installation shares is raced for first; then, with that in place, the replica alone.
      for (let round = 0; round < 2; round += 1) {
        const set = await dock.set();
        const [planned] = dock.target.place(set);
        const racing = Array.from({ length: 6 }, () => dock.target.start(set, planned!, dock.watch()));
        const started = await Promise.all(racing);
        assert.equal(new Set(started.map(({ url }) => url)).size, 1);
        assert.deepEqual(await dock.there(set.grant.token), [planned!.name]);
        const before = await dock.opened.identity(planned!);
        assert.deepEqual(await dock.target.start(set, planned!, dock.watch()), started[0]);
        assert.equal(await dock.opened.identity(planned!), before);
        await dock.remove(started);
      }
    });

    test('they are found by what they bear, matching all that is asked', async () => {
      const serving = await dock.set({}, { replicas: 2 });
      const { token } = serving.grant;
      const checked = await dock.set({}, {}, { token, role: 'check' });
      const [started, [check]] = [await dock.up(serving), await dock.start(checked)];
      const names = started.map(({ name }) => name).sort();
      assert.deepEqual(await dock.there(token), [...names, check!.name].sort());
      const found = async (filter: object) => (await dock.target.list(filter)).map(({ name }) => name).sort();
      assert.deepEqual(await found({ service: 'iris', release: serving.release, role: 'serve' }), names);
      assert.deepEqual(await found({ token, role: 'check' }), [check!.name]);
      assert.deepEqual(await found({ service: 'lily' }), []);
      assert.deepEqual(await found({ service: 'lily', token }), []);
      const [state] = await dock.target.list({ token, role: 'serve' });
      const { image, grant, release } = serving;
      const { url } = started.find(({ name }) => name === state!.name)!;
      assert.deepEqual(state, {
        ...{ node: started[0]!.node, name: state!.name, url },
        ...{ service: 'iris', release, token, role: 'serve', deployment: grant.deployment.workflowId },
        image: `${image.repository}@${image.digest}`,
        ...{ running: true, exitCode: null, oomKilled: false, restarts: 0 },
      });
      await dock.remove([...started, check!]);
    });

    test('what another installation has is neither found nor taken away', async () => {
      const neighbour = await dock.opened.neighbour();
      const set = await dock.set();
      const theirs = neighbour.set(set.image, {}, set.grant);
      const [planned] = neighbour.target.place(theirs);
      await neighbour.target.start(theirs, planned!, dock.watch());
      const [ours] = await dock.start(set);
      assert.deepEqual(await dock.there(set.grant.token), [ours!.name]);
      await dock.target.withdraw('iris', []);
      await dock.target.remove(planned!, 0);
      const left = await neighbour.target.list();
      assert.deepEqual(
        left.map(({ node, name }) => `${node}/${name}`),
        [`${planned!.node}/${planned!.name}`],
      );
      await neighbour.target.remove(planned!, 0);
      assert.deepEqual(await dock.there(set.grant.token), [ours!.name]);
      await dock.remove([ours!]);
    });

    test('what somebody else has under the name of one is refused, and left alone', async () => {
      const set = await dock.set();
      const [planned] = dock.target.place(set);
      const isThere = await dock.opened.squat(planned!);
      await assert.rejects(dock.target.start(set, planned!, dock.watch()), (error) => {
        assert.ok(error instanceof SlipwayError, String(error));
        assert.equal(error.type, 'Conflict');
        assert.ok(error.message.includes(`"${planned!.name}"`), error.message);
        assert.match(error.message, /exists and is not this installation's/);
        return true;
      });
      await dock.target.remove(planned!, 0);
      assert.equal(await isThere(), true);
      assert.deepEqual(await dock.there(set.grant.token), []);
    });

    test('removed twice, at once, and when there never was one, it is gone', async () => {
      const set = await dock.set();
      const [replica] = await dock.up(set);
      const removing = Array.from({ length: 5 }, () => dock.target.remove(replica!, 1_000));
      for (const notes of await Promise.all(removing)) assert.deepEqual(notes, []);
      assert.deepEqual(await dock.there(set.grant.token), []);
      assert.equal(await dock.target.evidence(replica!), '');
      assert.deepEqual(await dock.target.remove(replica!, 0), []);
      const [never] = dock.target.place(await dock.set());
      assert.deepEqual(await dock.target.remove(never!, 0), []);
      assert.equal(await dock.target.evidence(never!), '');
    });

    test('cancelled at any of its changes, nothing comes into being after it has ended', async () => {
      const { target, line } = await dock.opened.overLine();
      const before = await dock.opened.everything();
      let steps = 0;
      for (let more = true; more; steps += 1) {
        const set = await dock.set();
        const [planned] = target.place(set);
        const cancel = new AbortController();
        const starting = target.start(set, planned!, dock.watch(cancel.signal)).then(
          () => false,
          (error: Error) => {
            assert.match(error.message, /cancelled|aborted/);
            return true;
          },
        );
        more = await Promise.race([line.holdAfter(steps), starting]);
        cancel.abort(new Error('cancelled'));
        // What ends before it knows what became of its change must not be surprised by that.
        const over = await Promise.race([starting.then(() => true), delay(200).then(() => false)]);
        if (!over) await line.release();
        await starting;
        await dock.target.remove(planned!, 0);
        await line.release();
        assert.deepEqual(await dock.opened.everything(), before, `cancelled at change ${steps + 1}`);
      }
      assert.ok(steps > 2, `${steps - 1} changes`);
    });

    test('asked whether a set could be rolled out, nothing is made', async () => {
      const set = await dock.set();
      const warnings = await dock.target.admit({ set, strategy: blueGreen, live: [] }, dock.watch());
      assert.ok(Array.isArray(warnings));
      assert.deepEqual(await dock.there(set.grant.token), []);
      assert.equal(await dock.target.evidence(dock.target.place(set)[0]!), '');
    });

    test('a takeover that is taken back, as often as one likes, leaves what was live as it was', async () => {
      const service = 'rose';
      const live = await dock.up(await dock.set({}, { replicas: 2 }, { service }));
      const before = await dock.allOf(service);
      const set = await dock.set({}, { replicas: 2 }, { service });
      const takeover = { set, strategy: blueGreen, live, replicas: await dock.up(set) };
      const traffic = await dock.target.traffic(takeover, dock.watch());
      // As the journal holds it.
      const held: unknown = JSON.parse(JSON.stringify(traffic));
      for (let times = 0; times < 2; times += 1)
        assert.deepEqual(await dock.target.promote(takeover, dock.watch()), []);
      for (let times = 0; times < 2; times += 1)
        if (held !== null) assert.deepEqual(await dock.target.restore(set.grant, held, dock.watch()), []);
      await dock.remove(takeover.replicas);
      assert.deepEqual(await dock.allOf(service), before);
      for (let times = 0; times < 2; times += 1) await dock.target.withdraw(service, live);
      assert.deepEqual(await dock.allOf(service), before);
      await dock.remove(live);
      for (let times = 0; times < 2; times += 1) await dock.target.withdraw(service, []);
      assert.deepEqual(await dock.allOf(service), []);
    });

    test('images that nobody keeps are let go of, but for those that serve', async () => {
      const set = await dock.set();
      const started = await dock.up(set);
      const { repository } = set.image;
      const before = await dock.allOf('iris');
      for (const keep of [[set.image], [], []]) await dock.target.retain(repository, keep);
      await dock.target.retain('probe/nothing', []);
      assert.deepEqual(await dock.allOf('iris'), before);
      await dock.remove(started);
    });

    test('servers that are away are a passing fault', async () => {
      const away = await dock.opened.away();
      const set = await dock.set();
      const [planned] = away.place(set);
      const replica = { ...planned!, url: 'http://nowhere' };
      await Promise.all(
        [
          away.admit({ set, strategy: blueGreen, live: [] }, dock.watch()),
          away.start(set, planned!, dock.watch()),
          away.list(),
          away.evidence(replica),
          away.remove(replica, 0),
        ].map((work) => passing(work, /on node "|cannot reach the cluster at /)),
      );
    });
  });
