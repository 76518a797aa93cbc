import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1ConfigMap } from '@kubernetes/client-node';
import { parse, stringify } from 'yaml';
import { SlipwayError } from '../../contract/errors.js';
import type { Cluster } from '../../platform/targets/kubernetes/cluster.js';
import { Observer } from '../../platform/targets/kubernetes/apiserver/observer.js';
import type { Selection, WatchBounds } from '../../platform/targets/kubernetes/apiserver/watch.js';
import { awaitWorkload } from '../../platform/targets/kubernetes/ready.js';
import { testCluster } from '../support/cluster.js';
import { probeImage } from '../targets/probe.js';
import { Ground } from './ground.js';
import { Wire } from '../support/wire.js';
import { holdPart, killPart, releasePart } from '../support/harm.js';

const home = await testCluster();

describe('following the objects of a cluster', () => {
  let folder: string;
  let ground: Ground;
  let wire: Wire;
  let cluster: Cluster;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watch-'));
    ground = await Ground.open(home, await probeImage(home.stack));
    const through = join(folder, 'kubeconfig');
    wire = await Wire.lay(home.kubeconfig, through);
    cluster = ground.connect(through);
    const { requests } = cluster.kubeconfig;
    const count = requests.count.bind(requests);
    requests.count = (method, url) => {
      const query = new URL(url).searchParams;
      if (query.has('watch')) begunAt = Number(query.get('resourceVersion'));
      count(method, url);
    };
  });
  after(async () => {
    await wire.close();
    await ground.close();
    await rm(folder, { recursive: true });
  });

  /** Requests since, with what they were. */
  const asked = () => {
    const before = cluster.kubeconfig.requests.total;
    return () => cluster.kubeconfig.requests.total - before;
  };
  /** Version that a watch began at last. */
  let begunAt = 0;
  const lists = () => cluster.kubeconfig.requests.snapshot()['GET configmaps'] ?? 0;
  /** Connections that are in use. */
  const busy = async (): Promise<number> => {
    const { agent } = await cluster.kubeconfig.applyToFetchOptions({});
    return Object.values((agent as Agent).sockets).flat().length;
  };

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
    const observer = new Observer(cluster, 'following notes', stop.signal, bounds);
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
    assert.ok(await within(1_000, async () => (await busy()) === 0), 'no connection is left');
  }

  test('one list and one watch tell of everything', async () => {
    await note('plain', 'a', '1');
    await note('other', 'a', '1');
    const requests = asked();
    await following('plain', async (until) => {
      await until({ a: '1' });
      await note('plain', 'b', '1');
      await until({ a: '1', b: '1' });
      await note('plain', 'b', '2');
      await until({ a: '1', b: '2' });
      await forget('plain', 'a');
      await until({ b: '2' });
      assert.equal(requests(), 2);
    });
  });

  test('a connection that is cut is taken up where it was, without another list', async () => {
    await note('cut', 'a', '1');
    await following('cut', async (until) => {
      await until({ a: '1' });
      const before = lists();
      wire.refuse(true);
      wire.cut();
      await note('cut', 'b', '1');
      await forget('cut', 'a');
      await sleep(2_000);
      wire.refuse(false);
      await until({ b: '1' });
      assert.equal(lists(), before);
    });
  });

  test('a watch that the apiserver ends is taken up without a gap, at the pace of its ends', async () => {
    const requests = asked();
    const began = Date.now();
    await following(
      'ends',
      async (until) => {
        for (let n = 0; n < 8; n += 1) {
          await note('ends', 'a', String(n));
          await until({ a: String(n) }, 2_000);
          await sleep(500);
        }
        const last = await ground.kubectl(
          'get',
          'configmap',
          'ends-a',
          '-o',
          'jsonpath={.metadata.resourceVersion}',
        );
        await sleep(1_500);
        assert.ok(begunAt >= Number(last), `taken up at ${begunAt}, and ${last} was told before`);
        // The list, the first watch, and one for every second: never more.
        const seconds = (Date.now() - began) / 1000;
        assert.ok(requests() <= seconds + 3, `${requests()} requests in ${seconds} s`);
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
        assert.ok((await busy()) > 0, 'it was asked');
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
      const before = lists();
      wire.refuse(false);
      await until({ b: '2', c: '1' }, 15_000);
      assert.equal(lists(), before + 1);
    });
  });

  test('a refusal is told, not waited out', async () => {
    const config = parse(await ground.kubectl('config', 'view', '--raw')) as { users: { user: object }[] };
    const wait = async (user: object) => {
      config.users[0]!.user = user;
      const path = join(folder, 'refused');
      await writeFile(path, stringify(config), { mode: 0o600 });
      const wanted = { namespace: ground.namespace, name: 'any', budget: '1m' };
      await awaitWorkload(ground.connect(path), wanted, ground.watch(AbortSignal.timeout(20_000)));
    };
    const refused = (text: RegExp) => (error: unknown) => {
      assert.ok(error instanceof SlipwayError, String(error));
      assert.equal(error.type, 'RolloutFailed');
      assert.match(error.message, text);
      return true;
    };
    await assert.rejects(wait({ token: 'expired' }), refused(/does not accept the credentials of user/));
    const token = (await ground.kubectl('create', 'token', 'default')).trim();
    await assert.rejects(
      wait({ token }),
      refused(/^waiting for Deployment "any": forbidden: \S+ lacks the permission to list "\w+"/),
    );
  });

  test('an apiserver that hangs for a while is a pause of the wait', async () => {
    await ground.sow('hanging', { replicas: 2, env: { PROBE_READY_AFTER: '8' } });
    const wait = ground.ready('hanging', { budget: '30s' });
    await running('hanging', 2);
    await killPart('apiserver', 'SIGSTOP');
    await sleep(15_000);
    await killPart('apiserver', 'SIGCONT');
    await wait;
  });

  test('an apiserver that is killed for a minute is a pause of the wait, longer than the budget', async () => {
    await ground.sow('killed', { replicas: 2, env: { PROBE_READY_AFTER: '20' } });
    const wait = ground.ready('killed', { budget: '45s' });
    await running('killed', 2);
    await holdPart('apiserver');
    ground.seen.length = 0;
    await sleep(60_000);
    const messages = ground.seen.map(({ message }) => message);
    await releasePart('apiserver');
    const back = Date.now();
    // Kubernetes' own parts pause for up to half a minute between attempts to reach it.
    await Promise.race([wait, sleep(120_000).then(() => assert.fail('still waiting two minutes later'))]);
    assert.ok(Date.now() > back);
    assert.ok(messages.length >= 50, `${messages.length} heartbeats in a minute`);
    assert.match(
      messages.at(-1)!,
      /^0 of 2 ready after \d+ s of 45s; no word from the cluster for \d\d s: .*ECONNREFUSED/,
    );
  });

  test('what fails while the apiserver is away is told once it is back', async () => {
    await ground.sow('crash', { env: { PROBE_EXIT: '4', PROBE_EXIT_AFTER: '6' } });
    const wait = assert.rejects(ground.ready('crash'), /ended with exit code 4: ModuleNotFoundError/);
    await running('crash', 1);
    await holdPart('apiserver');
    await sleep(8_000);
    await releasePart('apiserver');
    await wait;
  });

  /** Waits until so many pods of a workload run. */
  async function running(name: string, pods: number): Promise<void> {
    const wait = async () => {
      const found = await ground.pods(name);
      return found.filter(({ status }) => status?.phase === 'Running').length === pods;
    };
    assert.ok(await within(60_000, wait), `${pods} pods of "${name}" run`);
  }

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

async function within(milliseconds: number, condition: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + milliseconds; !(await condition()); await sleep(20))
    if (Date.now() > end) return false;
  return true;
}
