import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { diagnose, type Seen } from '../../platform/targets/kubernetes/diagnosis/diagnose.js';
import { defaultGraces, timeOf, type Finding } from '../../platform/targets/kubernetes/diagnosis/finding.js';
import { Suspicion } from '../../platform/targets/kubernetes/diagnosis/suspicion.js';

const budget = 60_000;

/** Objects as a cluster gave them, in the state that the file is named after. */
const captured = async (name: string): Promise<Seen> =>
  JSON.parse(await readFile(resolve(`test/kubernetes/captured/${name}.json`), 'utf8')) as Seen;

/** What is found a second after the first pod was made. */
function found(seen: Seen, later = 1_000): Finding[] {
  const [pod] = seen.pods;
  return diagnose(seen, timeOf(pod?.metadata?.creationTimestamp) + later, budget);
}

describe('what keeps a workload from becoming ready', () => {
  const surest: [string, string, RegExp, number][] = [
    ['crash-loop', 'Error', /^ended with exit code 3$/, 0],
    ['out-of-memory', 'OOMKilled', /^ran out of memory \(limit 32Mi\)$/, 0],
    ['absent', 'ImagePullBackOff', /^cannot pull its image: failed to pull .*: not found$/, 0],
    ['refused', 'ImagePullBackOff', /refuses the credentials of pull secret "wrong": .*401 Unauthorized/, 0],
    ['away', 'ImagePullBackOff', /^cannot pull its image: .*connection refused$/, defaultGraces.away],
    [
      'unscheduled',
      'Unschedulable',
      /^cannot be scheduled: 0\/1 nodes .*Insufficient cpu/,
      defaultGraces.room,
    ],
    ['mount', 'FailedMount', /configmap "nowhere" not found$/, defaultGraces.room],
    ['keyless', 'CreateContainerConfigError', /couldn't find key token in Secret watching\/pull$/, 0],
    ['quota', 'QuotaExceeded', /^cannot make its pods: .*exceeded quota: few/, defaultGraces.room],
    ['evicted', 'Evicted', /\(Evicted\), as were 2 before it: Usage of EmptyDir volume "s" exceeds/, 0],
  ];
  for (const [name, reason, text, grace] of surest)
    test(`${name} is told as ${reason}`, async () => {
      const [first] = found(await captured(name));
      assert.ok(first);
      assert.equal(first.reason, reason);
      assert.match(first.text, text);
      assert.equal(first.grace, grace);
    });

  test('a slow start is nothing until its budget is used up', async () => {
    const seen = await captured('slow');
    assert.deepEqual(found(seen, 30_000), []);
    const [late] = found(seen, budget + 10_000);
    assert.equal(late?.reason, 'StartupBudget');
    assert.equal(late.late, true);
  });

  test('one that was ready, and is not for a moment, has its budget from there', async () => {
    const seen = await captured('slow');
    const condition = seen.pods[0]!.status!.conditions!.find(({ type }) => type === 'Ready')!;
    const days = 3 * 24 * 3_600_000;
    condition.lastTransitionTime = new Date(timeOf(condition.lastTransitionTime) + days);
    assert.deepEqual(found(seen, days + 30_000), []);
    assert.equal(found(seen, days + budget + 10_000)[0]?.reason, 'StartupBudget');
  });

  test('a container lost with its node is none of its failures', async () => {
    const seen = await captured('rebooted');
    const status = seen.pods[0]!.status!.containerStatuses![0]!;
    assert.equal(status.lastState?.terminated?.exitCode, 255);
    assert.deepEqual(found(seen), []);
    status.lastState!.terminated!.reason = 'Error';
    assert.equal(found(seen)[0]?.text, 'ended with exit code 255');
  });

  test('pods on their way out are not judged, nor a container that is ready by now', async () => {
    const seen = await captured('crash-loop');
    const [pod] = seen.pods;
    const status = pod!.status!.containerStatuses![0]!;
    status.ready = true;
    assert.deepEqual(found(seen), []);
    status.ready = false;
    assert.equal(found(seen).length, 1);
    pod!.status!.conditions!.push({ type: 'DisruptionTarget', status: 'True' });
    assert.deepEqual(found(seen), []);
    pod!.status!.conditions!.pop();
    pod!.metadata!.deletionTimestamp = pod!.metadata!.creationTimestamp!;
    assert.deepEqual(found(seen), []);
  });

  test('one or two evictions are waited out', async () => {
    const seen = await captured('evicted');
    const failed = seen.pods.find(({ status }) => status?.phase === 'Failed');
    seen.pods.splice(seen.pods.indexOf(failed!), 1);
    assert.deepEqual(found(seen), []);
  });

  test('a status of an earlier spec is not believed', async () => {
    const seen = await captured('quota');
    seen.deployment.metadata!.generation = 2;
    assert.deepEqual(found(seen), []);
  });

  test('a kubelet that does not say in its back-off why is asked through its events', async () => {
    const seen = await captured('absent');
    const { state } = seen.pods[0]!.status!.containerStatuses![0]!;
    const { image } = seen.pods[0]!.spec!.containers[0]!;
    state!.waiting!.message = `Back-off pulling image "${image}"`;
    assert.match(found(seen)[0]!.text, /^cannot pull its image: .*: not found$/);
    seen.events = [];
    assert.equal(found(seen)[0]?.grace, defaultGraces.away);
  });

  test('words of webhooks and controllers tell what is final', async () => {
    const seen = await captured('quota');
    const condition = seen.deployment.status!.conditions!.find(({ type }) => type === 'ReplicaFailure');
    const judged = (message: string) => {
      condition!.message = message;
      const [finding] = found(seen);
      return [finding?.reason, finding?.grace];
    };
    assert.deepEqual(judged('admission webhook "pods.example" denied the request: no models'), [
      'AdmissionDenied',
      0,
    ]);
    assert.deepEqual(
      judged('Internal error occurred: failed calling webhook "pods.example": connection refused'),
      ['FailedCreate', defaultGraces.away],
    );
    assert.deepEqual(
      judged('pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'),
      ['FailedCreate', 0],
    );
  });
});

describe('what may pass by itself', () => {
  const finding = (reason: string, grace: number, since?: number): Finding => ({
    reason,
    text: '',
    grace,
    ...(since !== undefined && { since }),
  });

  test('is told when it has lasted, and forgotten when it has passed', () => {
    const suspicion = new Suspicion();
    const start = Date.now();
    const room = finding('Unschedulable', 3_000);
    assert.equal(suspicion.overdue([room], start), undefined);
    assert.equal(suspicion.overdue([room], start + 2_000), undefined);
    assert.equal(suspicion.overdue([], start + 2_500), undefined);
    assert.equal(suspicion.overdue([room], start + 4_000), undefined);
    assert.equal(suspicion.overdue([room], start + 7_000), room);
  });

  test('is one and the same while a pull fails and waits to be tried again', () => {
    const suspicion = new Suspicion();
    const start = Date.now();
    assert.equal(suspicion.overdue([finding('ErrImagePull', 3_000)], start), undefined);
    assert.ok(suspicion.overdue([finding('ImagePullBackOff', 3_000)], start + 3_000));
  });

  test('is counted from when the cluster says it began, but not from before the wait', () => {
    const suspicion = new Suspicion();
    const start = Date.now();
    assert.ok(suspicion.overdue([finding('FailedMount', 1_000, start + 500)], start + 1_600));
    assert.equal(suspicion.overdue([finding('Old', 1_000, start - 60_000)], start + 500), undefined);
  });
});
