import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { SlipwayError } from '../../contract/errors.js';
import { awaitWorkload } from '../../platform/targets/kubernetes/ready.js';
import { testApiserver } from '../support/apiserver.js';
import { Notes } from './notes.js';

describe('following the objects of a cluster', () => {
  let notes: Notes;
  before(async () => {
    notes = await Notes.open(await testApiserver());
  });
  after(async () => await notes?.close());

  test('one list and one watch tell of everything', async () => {
    await notes.write('plain', 'a', '1');
    await notes.write('other', 'a', '1');
    const requests = notes.asked();
    await notes.following('plain', async (until) => {
      await until({ a: '1' });
      await notes.write('plain', 'b', '1');
      await until({ a: '1', b: '1' });
      await notes.write('plain', 'b', '2');
      await until({ a: '1', b: '2' });
      await notes.remove('plain', 'a');
      await until({ b: '2' });
      assert.equal(requests(), 2);
    });
  });

  test('a connection that is cut is taken up where it was, without another list', async () => {
    await notes.write('cut', 'a', '1');
    await notes.following('cut', async (until) => {
      await until({ a: '1' });
      const before = notes.lists();
      notes.wire.refuse(true);
      notes.wire.cut();
      await notes.write('cut', 'b', '1');
      await notes.remove('cut', 'a');
      await sleep(2_000);
      notes.wire.refuse(false);
      await until({ b: '1' });
      assert.equal(notes.lists(), before);
    });
  });

  test('a watch that the apiserver ends is taken up without a gap, at the pace of its ends', async () => {
    const requests = notes.asked();
    const began = Date.now();
    await notes.following(
      'ends',
      async (until) => {
        for (let n = 0; n < 8; n += 1) {
          await notes.write('ends', 'a', String(n));
          await until({ a: String(n) });
          await sleep(500);
        }
        const last = await notes.ground.kubectl(
          'get',
          'configmap',
          'ends-a',
          '-o',
          'jsonpath={.metadata.resourceVersion}',
        );
        await sleep(1_500);
        assert.ok(notes.begunAt >= Number(last), `taken up at ${notes.begunAt}, and ${last} was told before`);
        // The list, the first watch, and one for every second: never more.
        const seconds = (Date.now() - began) / 1000;
        assert.ok(requests() <= seconds + 3, `${requests()} requests in ${seconds} s`);
      },
      { seconds: 1, slack: 5 },
    );
  });

  test('a connection that has gone dead unnoticed is replaced', async () => {
    await notes.following(
      'dead',
      async (until) => {
        await notes.write('dead', 'b', '1');
        await until({ b: '1' });
        await notes.write('dead', 'b', '2');
        await until({ b: '2' });
        notes.wire.freeze();
        await notes.write('dead', 'a', '1');
        await until({ a: '1', b: '2' });
      },
      { seconds: 3, slack: 1 },
    );
  });

  test('a refusal is told, not waited out', async () => {
    const config = parse(await notes.ground.kubectl('config', 'view', '--raw')) as {
      users: { user: object }[];
    };
    const wait = async (user: object) => {
      config.users[0]!.user = user;
      const path = join(notes.folder, 'refused');
      await writeFile(path, stringify(config), { mode: 0o600 });
      const wanted = { namespace: notes.ground.namespace, name: 'any', budget: '1m' };
      await awaitWorkload(
        notes.ground.connect(path),
        wanted,
        notes.ground.watch(AbortSignal.timeout(20_000)),
      );
    };
    const refused = (text: RegExp) => (error: unknown) => {
      assert.ok(error instanceof SlipwayError, String(error));
      assert.equal(error.type, 'RolloutFailed');
      assert.match(error.message, text);
      return true;
    };
    await assert.rejects(wait({ token: 'expired' }), refused(/does not accept the credentials of user/));
    const token = (await notes.ground.kubectl('create', 'token', 'default')).trim();
    await assert.rejects(
      wait({ token }),
      refused(/^waiting for Deployment "any": forbidden: \S+ lacks the permission to list "\w+"/),
    );
  });
});
