import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { request } from 'undici';
import { digestOf } from '../../../contract/names.js';
import type { Replica } from '../../../contract/pipeline.js';
import type { ReplicaSet } from '../../../platform/targets/index.js';
import type { Behaviour } from '../../targets/probe.js';
import { untilTrue } from '../../support/until.js';
import { passing, refusal, soon } from './failures.js';
import { withTarget, type Changes, type Dock, type Of, type Open } from './opened.js';

const within = (startupBudget: string): Changes => ({
  verify: { latencyBudget: '1s', startupBudget, sourceCheck: true },
});
/** Far from over when a test ends that is told before it. */
const generous = within('10m');
/** Waits inside until it listens. */
const listening = [
  'import socket, time',
  'while True:',
  '    try: socket.create_connection(("127.0.0.1", 8000)); break',
  '    except OSError: time.sleep(0.1)',
].join('\n');
/** Waits inside until it listens, and interrupts it once. */
const interrupt = [
  listening,
  'import glob, os, signal',
  'for path in glob.glob("/proc/[0-9]*/cmdline"):',
  '    if open(path).read().split("\\0")[1:2] == ["/probe.py"]: os.kill(int(path.split("/")[2]), signal.SIGINT)',
].join('\n');
const neverReady: Behaviour = { env: { PROBE_READY_FILE: '/tmp/never' } };

export const processes = (open: Open) =>
  // Most of it is waiting.
  describe('replicas run what they are given', { concurrency: 6 }, () => {
    let dock: Dock;
    withTarget(open, (given) => (dock = given));

    const started = async (
      behaviour: Behaviour,
      changes: Changes = generous,
      of: Partial<Of> = {},
    ): Promise<{ set: ReplicaSet; replicas: Replica[] }> => {
      const set = await dock.set(behaviour, changes, of);
      return { set, replicas: await dock.start(set) };
    };
    const logsOf = (error: { details: Record<string, unknown> }) => error.details['logs'] as string[];

    test('one that is slow within its budget is waited for, and progress shown all the while', async () => {
      const { set, replicas } = await started(
        { env: { PROBE_READY_FILE: '/tmp/ready' } },
        { replicas: 2, ...generous },
      );
      const messages: string[] = [];
      const waited = dock.target.awaitReady(
        set,
        replicas,
        dock.watch(undefined, ({ message }) => messages.push(message)),
      );
      // More than once: it goes on telling while nothing changes.
      const told = () => messages.filter((message) => message.startsWith('0 of 2 ready')).length;
      await untilTrue(() => told() >= 2, soon);
      for (const replica of replicas) await dock.opened.inside(replica, 'touch', '/tmp/ready');
      assert.equal(await waited, 2, 'how many processes these are');
      assert.ok(
        messages.some((message) => message.startsWith('2 of 2 ready')),
        messages.join(),
      );
      await dock.remove(replicas);
    });

    for (const role of ['serve', 'check'] as const)
      test(`a crash at start is told with exit code and log lines (${role})`, async () => {
        const { set, replicas } = await started({ env: { PROBE_EXIT: '3' } }, generous, { role });
        const error = await refusal(dock.target.awaitReady(set, replicas, dock.watch()));
        assert.match(
          error.message,
          /ended with exit code 3: ModuleNotFoundError: No module named 'nonsense'/,
        );
        const { replica, exitCode, oomKilled } = error.details;
        assert.deepEqual(
          { replica, exitCode, oomKilled },
          { replica: replicas[0]!.name, exitCode: 3, oomKilled: false },
        );
        assert.ok(logsOf(error).includes("ModuleNotFoundError: No module named 'nonsense'"));
        // Its two streams reach the engine each by itself: their order is not known, the number of lines is.
        const starts = logsOf(error).filter((line) => line === 'probe starting as iris');
        assert.equal(starts.length, 1, 'nothing of a later start');
        const evidence = await dock.target.evidence(replicas[0]!);
        assert.match(evidence, /exit code:? 3/);
        assert.match(evidence, /probe starting as iris/);
        await dock.remove(replicas);
        assert.equal(await dock.target.evidence(replicas[0]!), '');
      });

    test('a crash between two looks, started again since, is told with its exit code', async () => {
      const { set, replicas } = await started(neverReady);
      // The container may be gone before that can be answered.
      await dock.opened.inside(replicas[0]!, 'python3', '-c', interrupt).catch(() => undefined);
      const { token } = set.grant;
      await untilTrue(async () => (await dock.target.list({ token }))[0]!.restarts > 0, soon);
      const error = await refusal(dock.target.awaitReady(set, replicas, dock.watch()));
      assert.equal(error.details['exitCode'], 130);
      await dock.remove(replicas);
    });

    test('one that is too large for its memory is told as such', async () => {
      const { set, replicas } = await started(
        { env: { PROBE_EAT_MB: '200' } },
        { resources: { cpu: 0.1, memory: '64Mi' }, ...generous },
      );
      const error = await refusal(dock.target.awaitReady(set, replicas, dock.watch()));
      assert.match(error.message, /ran out of memory \(limit 64Mi\)/);
      const { exitCode, oomKilled } = error.details;
      assert.deepEqual({ exitCode, oomKilled }, { exitCode: 137, oomKilled: true });
      assert.ok(logsOf(error).includes('loading a large model'));
      await dock.remove(replicas);
    });

    test('one that is slower than its budget is told with its last answer and its logs', async () => {
      const { set, replicas } = await started(neverReady, within('5s'));
      await dock.opened.inside(replicas[0]!, 'python3', '-c', listening);
      const error = await refusal(dock.target.awaitReady(set, replicas, dock.watch()));
      // Kubernetes tells what a probe was answered last, perhaps before that.
      assert.match(
        error.message,
        /was not ready within its start-up budget of 5s; last answer: .*(?:503|refused)/,
      );
      assert.deepEqual(logsOf(error), ['probe starting as iris']);
      await dock.remove(replicas);
    });

    test('one of two that fails ends the wait for both', async () => {
      const good = await started(neverReady);
      const bad = await started({ env: { PROBE_EXIT: '1' } });
      const both = [...good.replicas, ...bad.replicas];
      const error = await refusal(dock.target.awaitReady(good.set, both, dock.watch()));
      assert.equal(error.details['replica'], bad.replicas[0]!.name);
      await dock.remove(both);
    });

    test('an image that no registry has is told as such', async () => {
      const { image, ...set } = await dock.set();
      const unknown = { ...set, image: { ...image, digest: digestOf('0'.repeat(64)) } };
      const work = async () => {
        const replicas = await dock.start(unknown);
        await dock.target.awaitReady(unknown, replicas, dock.watch());
      };
      assert.match((await refusal(work())).message, /no such image|cannot pull its image: .*not found/);
      await dock.remove(dock.target.place(unknown));
    });

    test('cancelled while it is waited for, that ends at once', async () => {
      const { set, replicas } = await started(neverReady);
      const cancel = new AbortController();
      let told = 0;
      const watch = dock.watch(cancel.signal, () => void (told += 1));
      const waited = assert.rejects(dock.target.awaitReady(set, replicas, watch), /^Error: cancelled$/);
      await untilTrue(() => told > 1, soon);
      const began = Date.now();
      cancel.abort(new Error('cancelled'));
      await waited;
      assert.ok(Date.now() - began < soon);
      await dock.remove(replicas);
    });

    test('one that somebody has removed is a passing fault, and is started again', async () => {
      const { set, replicas } = await started({});
      await dock.opened.snatch(replicas[0]!);
      const name = `"${replicas[0]!.name}"`;
      await passing(
        dock.target.awaitReady(set, replicas, dock.watch()),
        new RegExp(`${name} .*(?:was removed|is not there \\(any more\\))`),
      );
      await dock.up(set);
      await dock.remove(replicas);
    });

    test('a request in flight is answered before it goes', async () => {
      const { set, replicas } = await started({
        env: { PROBE_ANSWER_FILE: '/tmp/answer', PROBE_DRAINS: '1' },
      });
      await dock.target.awaitReady(set, replicas, dock.watch());
      const [replica] = replicas;
      const body = '{"input": [7]}';
      const answer = request(`${replica!.url}/predict`, { method: 'POST', body, reset: true });
      const says = async (word: string) => (await dock.opened.log(replica!)).includes(word);
      await untilTrue(() => says('answering'), soon);
      const removed = dock.target.remove(replica!, 60_000);
      await untilTrue(() => says('draining'), soon);
      await dock.opened.inside(replica!, 'touch', '/tmp/answer');
      const { statusCode, body: answered } = await answer;
      assert.equal(statusCode, 200);
      assert.deepEqual(await answered.json(), { output: [7] });
      await removed;
      assert.deepEqual(await dock.there(set.grant.token), []);
    });

    test('one that does not end in its grace is killed', async () => {
      const { set, replicas } = await started({ env: { PROBE_IGNORES_TERM: '1' } });
      await dock.target.awaitReady(set, replicas, dock.watch());
      const began = Date.now();
      await dock.target.remove(replicas[0]!, 1_000);
      const took = Date.now() - began;
      assert.ok(took >= 900 && took < 60_000, `${took} ms`);
      assert.deepEqual(await dock.there(set.grant.token), []);
    });
  });
