import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { examine } from '../../infra/local/doctor.js';
import { findHome } from '../../infra/local/home.js';
import { findCgroups } from '../../infra/local/kubernetes/cgroups.js';
import { nodeNames } from '../../infra/local/kubernetes/node.js';
import { partPid } from '../../infra/local/kubernetes/part-process.js';
import { partNames } from '../../infra/local/kubernetes/parts.js';
import { findOwned } from '../../infra/local/processes.js';
import { testCluster, type TestCluster } from '../support/cluster.js';
import { componentPid, stackComponents } from '../support/stack.js';
import { probeImage } from '../targets/probe.js';
import { slipway, up } from './cli.js';
import { holdPart, killComponent, killPart, releasePart, repair } from '../support/harm.js';

const namespace = 'test-node';
const home = findHome();

describe('the Kubernetes of the stack', () => {
  let cluster: TestCluster;
  let kubectl: TestCluster['kubectl'];
  let nodePort: number;
  before(async () => {
    await repair();
    cluster = await testCluster();
    ({ kubectl } = cluster);
    await kubectl(['create', 'namespace', namespace]);
    // Pods are refused until their account is there.
    await eventually(() => kubectl(['get', 'serviceaccount', 'default', '-n', namespace]), 60_000);
    const { config, stack } = cluster;
    const { repository, digest } = await probeImage(stack);
    await kubectl([
      ...['create', 'secret', 'docker-registry', 'pull', '-n', namespace],
      ...['--docker-server', config.registry],
      ...['--docker-username', stack.registry.username, '--docker-password', stack.registry.password],
    ]);
    const image = `${config.registry}/${repository}@${digest}`;
    const objects = [pod('refused', image, []), pod('served', image, ['pull']), service];
    for (const object of objects) await kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
    await ready();
    nodePort = Number(await get('service/served', '{.spec.ports[0].nodePort}'));
  });
  after(async () => {
    await repair();
    await kubectl(['delete', 'namespace', namespace, '--wait=false']);
  });

  const ready = (): Promise<string> =>
    kubectl(['wait', 'pod/served', '-n', namespace, '--for=condition=Ready', '--timeout=120s']);
  const get = (what: string, path: string): Promise<string> =>
    kubectl(['get', what, '-n', namespace, '-o', `jsonpath=${path}`]);
  const answersNow = async (): Promise<number> => {
    const url = `http://${cluster.config.address}:${nodePort}/healthz`;
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.status;
  };
  const answers = (): Promise<void> => eventually(async () => assert.equal(await answersNow(), 200), 30_000);
  const healthy = (budget = 30_000): Promise<void> =>
    eventually(async () => assert.deepEqual(await wrong(), []), budget);

  test('a pod runs from the registry by digest with its credentials, and not without', async () => {
    assert.equal(await get('pod/served', '{.status.phase}'), 'Running');
    await eventually(async () => {
      const why = await get('pod/refused', '{.status.containerStatuses[0].state.waiting.reason}');
      assert.match(why, /ImagePullBackOff|ErrImagePull/);
    }, 30_000);
  });

  test('a NodePort answers from the machine, Services by name in a pod, and logs can be read', async () => {
    await answers();
    const script = `import urllib.request as r; print(r.urlopen("http://served.${namespace}.svc/healthz").status)`;
    assert.equal(await kubectl(['exec', 'served', '-n', namespace, '--', 'python3', '-c', script]), '200');
    assert.match(await kubectl(['logs', 'served', '-n', namespace]), /probe starting/);
  });

  test('a pod reaches a port of this machine only where it was opened for it', async () => {
    const port = Number(new URL(cluster.stack.s3.endpoint).port);
    const opened = await cluster.expose(port);
    const ask = (address: string): Promise<string> => {
      const script = `import urllib.request as r; print(r.urlopen("http://${address}/minio/health/live", timeout=5).status)`;
      return kubectl(['exec', 'served', '-n', namespace, '--', 'python3', '-c', script]);
    };
    assert.equal(await ask(`${opened.host}:${opened.port}`), '200');
    await opened.close();
    await assert.rejects(ask(`${opened.host}:${opened.port}`), /refused/i);
    await assert.rejects(ask(`${opened.host}:${port}`), /refused/i);
  });

  test('who has no token is told nothing by the kubelet, which pods can connect to', async () => {
    const script = [
      'import ssl, urllib.request as r',
      `print(r.urlopen("https://${cluster.config.address}:10250/pods", context=ssl._create_unverified_context()).status)`,
    ].join('\n');
    await assert.rejects(kubectl(['exec', 'served', '-n', namespace, '--', 'python3', '-c', script]), /401/);
  });

  test('up again changes nothing', async () => {
    const pids = (): Promise<(number | null)[]> => Promise.all(partNames.map((name) => partPid(home, name)));
    const [before, file] = [await pids(), await stat(home.kubeconfig)];
    assert.ok(!before.includes(null), `every part runs: ${before.join(' ')}`);
    const states = await up();
    assert.deepEqual(states, Object.fromEntries((await stackComponents()).map((name) => [name, 'running'])));
    assert.equal((await up({ KUBECONFIG: home.kubeconfig }))['kubernetes'], 'running');
    const { stdout } = await slipway(['up', '--kubernetes', '--json'], { KUBECONFIG: home.kubeconfig });
    assert.equal(
      (JSON.parse(stdout) as { kubeconfig: string }).kubeconfig,
      home.kubeconfig,
      'its own, not a given one',
    );
    assert.deepEqual(await pids(), before);
    assert.equal((await stat(home.kubeconfig)).mtimeMs, file.mtimeMs);
    assert.equal((file.mode & 0o777).toString(8), '600');
  });

  for (const name of partNames)
    test(`${name} comes back by itself after kill -9, and the pod is not touched`, async () => {
      const id = await get('pod/served', '{.status.containerStatuses[0].containerID}');
      const old = await partPid(home, name);
      await killPart(name, 'SIGKILL');
      await eventually(async () => {
        const pid = await partPid(home, name);
        assert.ok(pid !== null && pid !== old);
      }, 3_000);
      await healthy();
      await answers();
      assert.equal(await get('pod/served', '{.status.containerStatuses[0].containerID}'), id);
    });

  test('a part that is held stays away, is named by doctor, and comes back when it is let', async () => {
    await holdPart('apiserver');
    await sleep(3_000);
    assert.equal(await partPid(home, 'apiserver'), null);
    assert.equal(await answersNow(), 200, 'what runs goes on');
    assert.match((await wrong()).join(), /kubernetes: apiserver: .*ECONNREFUSED/);
    await releasePart('apiserver');
    await healthy();
  });

  test('a part that is frozen is thawed, and is watched as before', async () => {
    await killPart('scheduler', 'SIGSTOP');
    await eventually(async () => assert.match((await wrong()).join(), /scheduler/), 10_000);
    await killPart('scheduler', 'SIGCONT');
    await healthy();
    const old = await partPid(home, 'scheduler');
    await killPart('scheduler', 'SIGKILL');
    await eventually(async () => assert.notEqual((await partPid(home, 'scheduler')) ?? old, old), 5_000);
    await healthy();
  });

  test('the node is made anew when its namespaces are killed, with its objects', async () => {
    const [holder] = await findOwned(`${home.name}/kubernetes/holder`);
    assert.ok(holder);
    process.kill(holder.pid, 'SIGKILL');
    await eventually(async () => assert.equal(await partPid(home, 'etcd'), null), 5_000).catch(
      () => undefined,
    );
    await healthy(90_000);
    await answers();
  });

  test('killed as a whole it leaves no process, and up brings it back', async () => {
    await killComponent('kubernetes', 'SIGKILL');
    await eventually(async () => assert.deepEqual(await findOwned(`${home.name}/kubernetes`), []), 10_000);
    assert.equal((await up())['kubernetes'], 'restarted');
    await answers();
  });

  test('down leaves nothing of it on the machine, up brings back what was in it', async () => {
    const { exitCode, stderr } = await slipway(['down']);
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(await onMachine(), []);
    assert.equal((await up())['kubernetes'], 'started');
    await answers();
    assert.notEqual(await componentPid('kubernetes'), null);
  });
});

/** What doctor finds wrong. */
const wrong = async (): Promise<string[]> =>
  (await examine(home)).filter(({ ok }) => ok === false).map(({ check, found }) => `${check}: ${found}`);

/** What a node that runs has on the machine outside of the stack's folder. */
async function onMachine(): Promise<string[]> {
  const { link, cgroup } = nodeNames(home);
  const mounts = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  return [
    ...(await findOwned(home.name)).map(({ pid }) => `process ${pid}`),
    ...(await findCgroups(cgroup)),
    ...[`/sys/class/net/${link}`, home.nodeRuntime, home.kubeconfig].filter((path) => existsSync(path)),
    ...mounts.filter((point) => point.startsWith(home.root) || point.startsWith(home.nodeRuntime)),
  ];
}

const labels = { app: 'served' };

const pod = (name: string, image: string, secrets: string[]): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace, labels: { app: name } },
  spec: {
    imagePullSecrets: secrets.map((name) => ({ name })),
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        ...{ name: 'main', image, imagePullPolicy: 'Always' },
        env: [{ name: 'SLIPWAY_PORT', value: '8000' }],
        readinessProbe: { httpGet: { path: '/healthz', port: 8000 }, periodSeconds: 1 },
        resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
      },
    ],
  },
});

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'served', namespace },
  spec: { type: 'NodePort', selector: labels, ports: [{ port: 80, targetPort: 8000 }] },
};

async function eventually(check: () => Promise<unknown>, budget: number): Promise<void> {
  for (const end = Date.now() + budget; ; await sleep(100))
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
}
