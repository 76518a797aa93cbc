import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { testCluster } from '../support/cluster.js';
import { untilTrue } from '../support/until.js';
import { probeImage } from '../targets/probe.js';
import { evidenceOf } from '../../platform/targets/kubernetes/diagnosis/evidence.js';
import { byDeployment, byEnd, byEvent, byScheduler, failure } from './failures.js';
import { Ground } from './ground.js';

const home = await testCluster();
const { registry } = home.config;

describe('waiting for a workload on a cluster', () => {
  let ground: Ground;
  let image: Awaited<ReturnType<typeof probeImage>>;
  before(async () => {
    image = await probeImage(home.stack);
    ground = await Ground.open(home, image);
  });
  after(async () => await ground.close());

  const logsOf = (error: { details: Record<string, unknown> }) => error.details['logs'] as string[];

  test('one that becomes ready is waited for, and progress shown all the while', async () => {
    await ground.sow('slow', { replicas: 2, env: { PROBE_READY_AFTER: '4' } });
    ground.seen.length = 0;
    const began = Date.now();
    await ground.ready('slow', { budget: '5m' });
    const took = Date.now() - began;
    const messages = ground.seen.map(({ message }) => message);
    assert.match(messages[0]!, /^0 of (?:1|2) ready after \d+ s of 5m$/);
    assert.match(messages.at(-1)!, /^2 of 2 ready after \d+ s of 5m$/);
    assert.ok(messages.length >= took / 3_000, `${messages.length} messages in ${took} ms`);
    const { status } = await ground.deployment('slow');
    assert.equal(status?.availableReplicas, 2);
  });

  test('more replicas than so far are waited for, also when the status is still the old one', async () => {
    await ground.kubectl('scale', 'deployment/slow', '--replicas=3');
    await ground.ready('slow');
    assert.equal((await ground.deployment('slow')).status?.availableReplicas, 3);
    await ground.ready('slow', { replicas: 1 });
  });

  test('a Deployment that is not there, or removed meanwhile, is a passing fault', async () => {
    await assert.rejects(ground.ready('nowhere'), /^Error: Deployment "nowhere" in namespace/);
    await ground.sow('removed', { env: { PROBE_READY_AFTER: '60' } });
    ground.seen.length = 0;
    const wait = assert.rejects(ground.ready('removed'), /^Error: Deployment "removed" in namespace/);
    await untilTrue(() => ground.seen.length > 1, 60_000);
    await ground.kubectl('delete', 'deployment', 'removed', '--wait=false');
    await wait;
  });

  test('a pod deleted by hand is replaced, and the replacement waited for', async () => {
    await ground.sow('deleted', { env: { PROBE_READY_AFTER: '5' } });
    const wait = ground.ready('deleted');
    await untilTrue(async () => (await ground.pods('deleted')).length > 0, 60_000);
    await ground.kubectl('delete', 'pod', '-l', 'slipway.dev/workload=deleted', '--wait=false');
    await wait;
    await ground.kubectl('delete', 'deployment', 'deleted', '--wait=false');
  });

  // Each has a workload of its own; side by side they wait together.
  describe('that cannot become ready', { concurrency: 6 }, () => {
    test('a crash at start is told with exit code and log lines of that run', async () => {
      await ground.sow('crash', { env: { PROBE_EXIT: '3' } });
      const error = await failure(ground, 'crash', byEnd);
      assert.match(
        error.message,
        /^pod "crash-\S+" on node "\S+" ended with exit code 3: ModuleNotFoundError: No module named 'nonsense'$/,
      );
      assert.equal(error.details['exitCode'], 3);
      assert.equal(error.details['oomKilled'], false);
      assert.match(String(error.details['pod']), /^crash-/);
      assert.ok(error.details['node']);
      assert.equal(logsOf(error).filter((line) => line === 'probe starting as iris').length, 1);
      // By now it is started again and again: an attempt that comes later is told the same.
      await untilTrue(async () => {
        const [pod] = await ground.pods('crash');
        const events = await ground.events('crash');
        return (
          (pod?.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1 &&
          events.some(({ reason }) => reason === 'BackOff')
        );
      }, 60_000);
      await assert.rejects(ground.ready('crash'), /ended with exit code 3: ModuleNotFoundError/);
      const evidence = await evidenceOf(ground.cluster, { node: ground.namespace, name: 'crash' }, 50);
      assert.match(evidence, /Available: False \(MinimumReplicasUnavailable\)/);
      assert.match(evidence, /restarts: [1-9]/);
      assert.match(evidence, /ended \S+: Error, exit code 3/);
      assert.match(evidence, /event \S+ Warning BackOff/);
      assert.match(evidence, /ModuleNotFoundError: No module named 'nonsense'/);
      await ground.kubectl('delete', 'deployment', 'crash', '--cascade=foreground');
      assert.equal(await evidenceOf(ground.cluster, { node: ground.namespace, name: 'crash' }, 50), '');
    });

    test('a command that the image does not have is told', async () => {
      await ground.sow('command', { container: { command: ['/no/such/program'] } });
      const error = await failure(ground, 'command', byEvent(/no such file/));
      assert.match(
        error.message,
        /cannot run its command: .*"\/no\/such\/program".*no such file or directory/,
      );
    });

    test('credentials that the registry refuses are named', async () => {
      await ground.pullSecret('wrong', registry, 'not-the-password');
      const container = { imagePullPolicy: 'Always' };
      await ground.sow('refused', { container, pod: { imagePullSecrets: [{ name: 'wrong' }] } });
      const refused = await failure(ground, 'refused', byEvent(/^Failed to pull image/));
      assert.match(
        refused.message,
        /the registry refuses the credentials of pull secret "wrong": .*401 Unauthorized/,
      );
      await ground.sow('missing', { container, pod: { imagePullSecrets: [{ name: 'nowhere' }] } });
      const missing = await failure(ground, 'missing', byEvent(/^Failed to pull image/));
      assert.match(
        missing.message,
        /the registry (?:asks for|refuses the) credentials.* pull secret "nowhere"/,
      );
      await ground.sow('without', { container, pod: { imagePullSecrets: [] } });
      const without = await failure(ground, 'without', byEvent(/^Failed to pull image/));
      assert.match(without.message, /the registry asks for credentials, and the pod has no pull secret: /);
    });

    test('a name that is none of an image is told', async () => {
      await ground.sow('misnamed', { image: 'Not/An Image' });
      const error = await failure(ground, 'misnamed', byEvent(/couldn't parse image name/));
      assert.match(error.message, /cannot be started: .*couldn't parse image name "Not\/An Image"/);
      assert.equal(error.details['reason'], 'InvalidImageName');
    });

    test('a registry that is away is waited for, and told when it stays away', async () => {
      const forward = await home.expose(Number(new URL(home.stack.registry.url).port));
      const host = `${forward.host}:${forward.port}`;
      await forward.close();
      await ground.pullSecret('elsewhere', host, home.stack.registry.password);
      const pod = { imagePullSecrets: [{ name: 'elsewhere' }] };
      await ground.sow('away', { image: `${host}/${image.repository}@${image.digest}`, pod });
      const error = await failure(
        ground,
        'away',
        async (...known) => (await byEvent(/^Failed to pull image/)(...known)) + 4_000,
        { graces: { away: 4_000 } },
      );
      assert.match(error.message, /cannot pull its image: .*connection refused/);
    });

    test('no room on any node is told with the reason of the scheduler', async () => {
      await ground.sow('big', { cpu: '999' });
      const error = await failure(ground, 'big', byScheduler);
      assert.match(
        error.message,
        /^pod "big-\S+" cannot be scheduled: 0\/\d+ nodes are available: .*Insufficient cpu/,
      );
      assert.equal(error.details['reason'], 'Unschedulable');
      await ground.sow('picky', { pod: { nodeSelector: { 'slipway.dev/no': 'such-node' } } });
      const picky = await failure(ground, 'picky', byScheduler);
      assert.match(picky.message, /didn't match Pod's node affinity\/selector/);
    });

    test('a Secret, or a key of it, that is missing is named', async () => {
      const env = (name: string, key: string) => [{ name: 'X', valueFrom: { secretKeyRef: { name, key } } }];
      await ground.sow('keyless', { container: { env: env('pull', 'token') } });
      const keyless = await failure(ground, 'keyless', byEvent(/couldn't find key/));
      assert.match(keyless.message, /cannot be started: couldn't find key token in Secret \S+\/pull/);
      assert.equal(keyless.details['reason'], 'CreateContainerConfigError');
      await ground.sow('secretless', { container: { env: env('nowhere', 'token') } });
      const secretless = await failure(ground, 'secretless', byEvent(/secret "nowhere" not found/));
      assert.match(secretless.message, /cannot be started: secret "nowhere" not found/);
    });

    test('a volume that cannot be mounted is named', async () => {
      const volumes = [{ name: 'v', configMap: { name: 'nowhere' } }];
      const container = { volumeMounts: [{ name: 'v', mountPath: '/v' }] };
      await ground.sow('volume', { container, pod: { volumes } });
      const error = await failure(ground, 'volume', byEvent(/MountVolume.SetUp failed/));
      assert.match(
        error.message,
        /cannot be started: MountVolume.SetUp failed for volume "v"\s*: configmap "nowhere" not found/,
      );
      assert.equal(error.details['reason'], 'FailedMount');
    });

    test('a claim that does not exist is told by the scheduler', async () => {
      const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'nowhere' } }];
      await ground.sow('claim', { pod: { volumes } });
      const error = await failure(ground, 'claim', byScheduler);
      assert.match(error.message, /persistentvolumeclaim "nowhere" not found/);
    });

    test('a failing liveness probe is told by name, not as an exit code', async () => {
      const livenessProbe = { httpGet: { path: '/nowhere', port: 9 }, periodSeconds: 1, failureThreshold: 2 };
      const container = { livenessProbe, readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 } };
      await ground.sow('lifeless', { container });
      const error = await failure(ground, 'lifeless', byEvent(/failed liveness probe/));
      assert.match(
        error.message,
        /was ended by its liveness probe: Liveness probe failed: .*connection refused/,
      );
    });

    test('a failing startup probe is told by name', async () => {
      const startupProbe = {
        httpGet: { path: '/readyz', port: 8000 },
        periodSeconds: 1,
        failureThreshold: 3,
      };
      await ground.sow('startless', { env: { PROBE_READY_AFTER: '60' }, container: { startupProbe } });
      const error = await failure(ground, 'startless', byEvent(/failed startup probe/));
      assert.match(
        error.message,
        /was ended by its startup probe: Startup probe failed: HTTP probe failed with statuscode: 503/,
      );
      assert.ok(logsOf(error).includes('probe starting as iris'));
    });

    test("no progress within the Deployment's own deadline is told", async () => {
      const spec = { progressDeadlineSeconds: 5, minReadySeconds: 4 };
      await ground.sow('stuck', { env: { PROBE_READY_AFTER: '60' }, spec });
      const error = await failure(ground, 'stuck', byDeployment('Progressing'));
      assert.match(error.message, /^Deployment "stuck" in namespace "\S+" made no progress for 5 s: /);
      assert.equal(error.details['pod'], null);
    });
  });

  describe('refused by the apiserver', () => {
    let ground: Ground;
    before(async () => {
      ground = await Ground.open(home, image);
    });
    after(async () => await ground.close());

    test('a quota is named; one that is only just used up is waited for', async () => {
      await ground.sow('first');
      await ground.ready('first');
      await ground.apply({
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'few' },
        spec: { hard: { pods: '1' } },
      });
      // Counted by a controller, in its own time.
      const used = ['get', 'resourcequota', 'few', '-o', 'jsonpath={.status.used.pods}'];
      await untilTrue(async () => (await ground.kubectl(...used)) === '1', 60_000);
      await ground.sow('second');
      const error = await failure(ground, 'second', byDeployment('ReplicaFailure'));
      assert.match(
        error.message,
        /^Deployment "second" in namespace "\S+" cannot make its pods: pods "\S+" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1$/,
      );
      assert.equal(error.details['reason'], 'QuotaExceeded');
      const wait = ground.ready('second', { graces: { room: 60_000 } });
      await ground.kubectl('delete', 'deployment', 'first');
      await wait;
      await ground.kubectl('delete', 'resourcequota', 'few');
    });

    test('a policy that denies is told in its words', async () => {
      const name = ground.namespace;
      const matchResources = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } };
      await ground.apply({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name },
        spec: {
          matchConstraints: {
            resourceRules: [
              { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
            ],
          },
          validations: [
            { expression: "!object.metadata.generateName.startsWith('denied-')", message: 'no models today' },
          ],
        },
      });
      await ground.apply({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name },
        spec: { policyName: name, validationActions: ['Deny'], matchResources },
      });
      try {
        // The apiserver takes up a policy a moment after it was made.
        for (let denied = false; !denied; await sleep(200)) {
          const trial = {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: { generateName: 'denied-' },
            spec: { containers: [{ name: 'a', image: 'a' }] },
          };
          denied = await home
            .kubectl(['-n', name, 'create', '--dry-run=server', '-f', '-'], { input: JSON.stringify(trial) })
            .then(
              () => false,
              (error: unknown) => /no models today/.test(String(error)),
            );
        }
        await ground.sow('denied');
        const error = await failure(ground, 'denied', byDeployment('ReplicaFailure'));
        assert.match(
          error.message,
          /cannot make its pods: .*ValidatingAdmissionPolicy .* denied request: no models today/,
        );
        assert.equal(error.details['reason'], 'AdmissionDenied');
      } finally {
        await home.kubectl(['delete', 'validatingadmissionpolicybinding,validatingadmissionpolicy', name]);
      }
    });
  });
});
