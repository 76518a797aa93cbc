import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiException, type V1ConfigMap } from '@kubernetes/client-node';
import { parse, stringify } from 'yaml';
import type { Cluster } from '../../platform/targets/kubernetes/cluster.js';
import { Observer } from '../../platform/targets/kubernetes/observer.js';
import type { Selection, WatchBounds } from '../../platform/targets/kubernetes/watch.js';
import { holdPart, killPart, releasePart, testCluster } from '../support/cluster.js';
import { probeImage } from '../targets/probe.js';
import { Ground } from './ground.js';
import { Wire } from './wire.js';

const home = await testCluster();

describe('following the objects of a cluster', () => {
  let folder: string;
  let ground: Ground;
  let wire: Wire;
  let cluster: Cluster;
  /** Requests made so far. */
  let asked = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watch-'));
    ground = await Ground.open(home, await probeImage(home.stack));
    const through = join(folder, 'kubeconfig');
    wire = await Wire.lay(home.kubeconfig, through);
    cluster = ground.connect(through);
    const { kubeconfig } = cluster;
    const authenticate = kubeconfig.applyToFetchOptions.bind(kubeconfig);
    kubeconfig.applyToFetchOptions = (options) => {
      asked += 1;
      return authenticate(options);
    };
  });
  after(async () => {
    await wire.close();
    await ground.close();
    await rm(folder, { recursive: true });
  });

  const notes = (label: string): Selection<V1ConfigMap> => ({
    path: `/api/v1/namespaces/${ground.namespace}/configmaps`,
    labelSelector: `note=${label}`,
  });
  const note = async (label: string, name: string, text: string) =>
    await ground.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `${label}-${name}`, labels: { note: label } },
      data: { text },
    });
  const forget = async (label: string, name: string) =>
    await ground.kubectl('delete', 'configmap', `${label}-${name}`);

  /** Follows notes of a label while `work` runs; `until` waits for what they should be. */
  async function following(
    label: string,
    work: (
      until: (wanted: Record<string, string>, within?: number) => Promise<void>,
      stop: AbortController,
    ) => Promise<void>,
    bounds?: WatchBounds,
  ): Promise<void> {
    const stop = new AbortController();
    const observer = new Observer(cluster, stop.signal, bounds);
    const followed = observer.follow(notes(label));
    const now = () =>
      Object.fromEntries(
        followed.all().map(({ metadata, data }) => [metadata!.name!.slice(label.length + 1), data?.['text']]),
      );
    const until = async (wanted: Record<string, string>, within = 5_000) => {
      const end = Date.now() + within;
      for await (const _ of observer.changes(100)) {
        const same =
          JSON.stringify(Object.entries(now()).toSorted()) ===
          JSON.stringify(Object.entries(wanted).toSorted());
        if (same && followed.synced && !followed.away) return;
        if (Date.now() > end) assert.deepEqual({ ...now(), away: followed.away }, wanted);
      }
    };
    try {
      await work(until, stop);
    } finally {
      await observer.close();
    }
    assert.ok(await within(1_000, () => wire.connections === 0), 'no connection is left');
  }

  test('one list and one watch tell of everything', async () => {
    await note('plain', 'a', '1');
    await note('other', 'a', '1');
    asked = 0;
    await following('plain', async (until) => {
      await until({ a: '1' });
      await note('plain', 'b', '1');
      await until({ a: '1', b: '1' });
      await note('plain', 'b', '2');
      await until({ a: '1', b: '2' });
      await forget('plain', 'a');
      await until({ b: '2' });
      assert.equal(asked, 2);
    });
  });

  test('a connection that is cut is taken up where it was, without another list', async () => {
    await note('cut', 'a', '1');
    await following('cut', async (until) => {
      await until({ a: '1' });
      wire.refuse(true);
      wire.cut();
      await note('cut', 'b', '1');
      await forget('cut', 'a');
      await sleep(2_000);
      wire.refuse(false);
      const before = wire.sent;
      asked = 0;
      await until({ b: '1' });
      assert.equal(asked, 1);
      assert.ok(wire.sent > before);
    });
  });

  test('a watch that the apiserver ends is taken up without a gap, at the pace of its ends', async () => {
    asked = 0;
    await following(
      'ends',
      async (until) => {
        for (let n = 0; n < 8; n += 1) {
          await note('ends', 'a', String(n));
          await until({ a: String(n) }, 2_000);
          await sleep(500);
        }
        assert.ok(asked <= 12, `${asked} requests`);
      },
      { seconds: 1, slack: 5 },
    );
  });

  test('a connection that has gone dead unnoticed is replaced', async () => {
    await following(
      'dead',
      async (until) => {
        await note('dead', 'b', '1');
        await until({ b: '1' });
        await note('dead', 'b', '2');
        await until({ b: '2' });
        wire.freeze();
        await note('dead', 'a', '1');
        await until({ a: '1', b: '2' }, 8_000);
      },
      { seconds: 3, slack: 1 },
    );
  });

  test('ended while the apiserver does not answer, it ends at once and leaves no connection', async () => {
    await killPart('apiserver', 'SIGSTOP');
    try {
      await following('mute', async (until, stop) => {
        setTimeout(() => stop.abort(new Error('enough')), 1_000);
        const began = Date.now();
        await assert.rejects(until({ a: '1' }, 60_000), /^Error: enough$/);
        assert.ok(Date.now() - began < 1_500);
        assert.ok(wire.connections > 0, 'it was asked');
      });
    } finally {
      await killPart('apiserver', 'SIGCONT');
    }
  });

  test('an apiserver that has forgotten what happened since is asked for everything again', async () => {
    await note('gone', 'a', '1');
    await note('gone', 'b', '1');
    await following('gone', async (until) => {
      await until({ a: '1', b: '1' });
      wire.refuse(true);
      wire.cut();
      await forget('gone', 'a');
      await note('gone', 'c', '1');
      // It begins anew to remember changes.
      await killPart('apiserver', 'SIGKILL');
      await answering();
      await note('gone', 'b', '2');
      asked = 0;
      wire.refuse(false);
      await until({ b: '2', c: '1' }, 15_000);
      // The watch that is refused, a list and a watch.
      assert.ok(asked >= 3);
    });
  });

  test('a refusal is told with the words of the apiserver, not waited out', async () => {
    const config = parse(stringify(parse(await ground.kubectl('config', 'view', '--raw')))) as {
      users: { user: object }[];
    };
    const follow = async (user: object) => {
      config.users[0]!.user = user;
      const path = join(folder, 'refused');
      await writeFile(path, stringify(config));
      const observer = new Observer(ground.connect(path), AbortSignal.timeout(20_000));
      observer.follow(notes('refused'));
      try {
        for await (const _ of observer.changes(500));
      } finally {
        await observer.close();
      }
    };
    const refused = (code: number, text: RegExp) => (error: unknown) => {
      assert.ok(error instanceof ApiException, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, text);
      return true;
    };
    await assert.rejects(follow({ token: 'expired' }), refused(401, /Unauthorized/));
    const token = (await ground.kubectl('create', 'token', 'default')).trim();
    await assert.rejects(follow({ token }), refused(403, /cannot list resource/));
  });

  test('an apiserver that hangs for a while, or is killed for a minute, is a pause of the wait', async () => {
    await ground.sow('paused', { replicas: 2, env: { PROBE_READY_AFTER: '8' } });
    const hanging = ground.ready('paused', { budget: '30s' });
    await sleep(3_000);
    await killPart('apiserver', 'SIGSTOP');
    await sleep(15_000);
    await killPart('apiserver', 'SIGCONT');
    await hanging;

    await ground.sow('killed', { replicas: 2, env: { PROBE_READY_AFTER: '10' } });
    const killed = ground.ready('killed', { budget: '30s' });
    await sleep(3_000);
    await holdPart('apiserver');
    ground.seen.length = 0;
    await sleep(60_000);
    const messages = ground.seen.map(({ message }) => message);
    assert.ok(messages.length >= 55, `${messages.length} heartbeats in a minute`);
    assert.match(
      messages.at(-1)!,
      /^0 of 2 ready after \d+ s of 30s; no word from the cluster for \d\d s: .*ECONNREFUSED/,
    );
    await releasePart('apiserver');
    await Promise.race([
      killed,
      // Kubernetes' own parts find back to it within a minute.
      sleep(90_000).then(() => assert.fail('still waiting 90 s after the apiserver is back')),
    ]);
  });

  test('what fails while the apiserver is away is told once it is back', async () => {
    await ground.sow('crash', { env: { PROBE_EXIT: '4', PROBE_EXIT_AFTER: '6' } });
    const wait = assert.rejects(ground.ready('crash'), /ended with exit code 4: ModuleNotFoundError/);
    await sleep(3_000);
    await holdPart('apiserver');
    await sleep(8_000);
    await releasePart('apiserver');
    await wait;
  });

  async function answering(): Promise<void> {
    for (const end = Date.now() + 30_000; ; await sleep(200))
      try {
        await ground.kubectl('get', '--raw', '/readyz');
        return;
      } catch (error) {
        if (Date.now() > end) throw error;
      }
  }
});

async function within(milliseconds: number, condition: () => boolean): Promise<boolean> {
  for (const end = Date.now() + milliseconds; !condition(); await sleep(20))
    if (Date.now() > end) return false;
  return true;
}
