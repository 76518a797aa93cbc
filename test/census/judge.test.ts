import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JournalEntry } from '../../contract/journal.js';
import type { Release, Route } from '../../contract/pipeline.js';
import type { Count } from '../../platform/census/count.js';
import { judgeCount } from '../../platform/census/judge.js';
import type { ReplicaState } from '../../platform/targets/index.js';
import { digest, releaseOf } from '../catalog/fixtures.js';

const replica = { node: 'local', name: 'slipway-dev-iris.r2-0', url: 'http://127.0.0.1:20000' };
const container = (changes: Partial<ReplicaState> = {}): ReplicaState => ({
  node: 'local',
  name: replica.name,
  service: 'iris',
  release: 'iris.r2',
  token: 2,
  role: 'serve',
  deployment: 'd2',
  image: `slipway/iris@${digest('2')}`,
  running: true,
  exitCode: null,
  oomKilled: false,
  restarts: 0,
  url: replica.url,
  ...changes,
});
const release = (token: number): Release => ({
  ...releaseOf({ service: 'iris', token, deployment: { workflowId: `d${token}`, runId: `run-${token}` } }),
  image: { repository: 'slipway/iris', digest: digest(String(token)) },
  sourceImage: { repository: 'slipway/iris', digest: digest('f') },
});
const route: Route = { service: 'iris', release: 'iris.r2', replicas: [replica], canary: null, version: 3 };
const effect = (changes: Partial<JournalEntry> & Pick<JournalEntry, 'effect'>): JournalEntry => ({
  id: 1,
  service: 'iris',
  token: 3,
  deployment: 'd3',
  state: 'done',
  ...changes,
});

/** One service that serves its second release and keeps its first. */
const healthy = (): Count => ({
  base: { repository: 'slipway-base', digest: digest('e') },
  nodes: [
    {
      node: 'local',
      error: null,
      containers: [
        container(),
        container({
          name: 'slipway-dev-pin-1',
          role: 'pin',
          running: false,
          image: `slipway/iris@${digest('1')}`,
        }),
      ],
      images: [
        { name: `r:1/slipway/iris@${digest('1')}`, digest: digest('1') },
        { name: `r:1/slipway/iris@${digest('2')}`, digest: digest('2') },
        { name: `r:1/slipway-base@${digest('e')}`, digest: digest('e') },
      ],
    },
  ],
  repositories: [
    { repository: 'slipway-base', tags: [{ tag: 'bookworm', digest: digest('e') }] },
    {
      repository: 'slipway/iris',
      tags: [
        { tag: `source-${'0'.repeat(32)}`, digest: digest('f') },
        { tag: '20260101-1', digest: digest('1') },
        { tag: '20260102-2', digest: digest('2') },
      ],
    },
  ],
  uploads: [{ id: 'u', key: 'iris/model/20260103.zip', size: 1, startedAt: new Date(0).toISOString() }],
  services: [
    {
      service: 'iris',
      live: 'iris.r2',
      previous: 'iris.r1',
      lastVerified: 'iris.r2',
      token: 2,
      holder: null,
    },
  ],
  cluster: null,
  routes: [route],
  kept: [],
  effects: [],
  releases: [release(2), release(1)],
  lost: new Set(),
});

const unaccounted = (count: Count) =>
  judgeCount(count)
    .filter((one) => !one.accounted)
    .map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`);

describe('the census', () => {
  test('of a healthy installation accounts for everything', () => {
    assert.deepEqual(unaccounted(healthy()), []);
    assert.ok(judgeCount(healthy()).length >= 12);
  });

  test('accounts for what a deployment under way has made', () => {
    const count = healthy();
    const name = 'slipway-dev-iris.r3-0';
    count.services[0]!.holder = { workflowId: 'd3', runId: 'r' };
    count.services[0]!.token = 3;
    count.nodes[0]!.containers.push(container({ name, image: `slipway/iris@${digest('3')}` }));
    count.nodes[0]!.images.push({ name: `r:1/slipway/iris@${digest('3')}`, digest: digest('3') });
    count.repositories[1]!.tags.push({ tag: '20260103-3', digest: digest('3') });
    count.effects = [
      effect({ effect: { kind: 'replica', key: 'k', target: 'docker', node: 'local', name } }),
      effect({
        effect: { kind: 'tag', key: 't', repository: 'slipway/iris', tag: 'x', digest: digest('3') },
      }),
    ];
    assert.deepEqual(unaccounted(count), []);
  });

  const faults: [name: string, make: (count: Count) => void, found: RegExp][] = [
    [
      'a container that serves nothing',
      ({ nodes }) => nodes[0]!.containers.push(container({ name: 'slipway-dev-iris.r1-0' })),
      /^container slipway-dev-iris.r1-0 on local: gets no traffic and belongs to no deployment/,
    ],
    [
      'a pin of no release',
      ({ nodes }) =>
        nodes[0]!.containers.push(
          container({ name: 'pin', role: 'pin', image: `slipway/iris@${digest('8')}` }),
        ),
      /^container pin on local: holds an image of no release/,
    ],
    [
      'an image nobody uses',
      ({ nodes }) => nodes[0]!.images.push({ name: 'r:1/slipway/iris@x', digest: digest('8') }),
      /^image r:1\/slipway\/iris@x on local: no release/,
    ],
    [
      'a tag left behind',
      ({ repositories }) => repositories[1]!.tags.push({ tag: '20260103-8', digest: digest('8') }),
      /^tag slipway\/iris:20260103-8: no release/,
    ],
    [
      'an effect whose deployment is gone',
      (count) =>
        (count.effects = [
          effect({ effect: { kind: 'replica', key: 'k', target: 'docker', node: 'n', name: 'c' } }),
        ]),
      /^effect container c on n \(iris.r3\): its deployment "d3" holds no grant/,
    ],
    [
      'a route to a replica that is gone',
      ({ nodes }) => nodes[0]!.containers.shift(),
      /^route iris: its replica slipway-dev-iris.r2-0 on local does not exist/,
    ],
    [
      'a route to a replica that has ended',
      ({ nodes }) => (nodes[0]!.containers[0]!.running = false),
      /^route iris: its replica slipway-dev-iris.r2-0 on local does not run/,
    ],
    [
      'a route to another release than the live one',
      ({ services }) => (services[0]!.live = 'iris.r1'),
      /^route iris: goes to iris.r2, but the live release is iris.r1/,
    ],
    [
      'a release whose image is lost',
      ({ lost }) => lost.add(digest('1')),
      /^release iris.r1: its image is not in the registry/,
    ],
  ];
  for (const [name, make, found] of faults)
    test(`finds ${name}`, () => {
      const count = healthy();
      make(count);
      const [first, ...others] = unaccounted(count);
      assert.match(first ?? 'nothing', found);
      assert.deepEqual(others, []);
    });

  test('of a cluster: what serves, what is kept and what a deployment makes is accounted for, the rest is told', () => {
    const count = healthy();
    const workload = (name: string) => container({ node: 'ml', name });
    const object = (kind: string, name: string, service: string | null, of: string | null) => ({
      kind,
      namespace: 'ml',
      name,
      service,
      workload: of,
    });
    count.routes = [{ ...route, replicas: [{ node: 'ml', name: 'iris--r2', url: 'http://n:1' }] }];
    count.nodes[0]!.containers.shift();
    count.kept = [{ node: 'ml', name: 'iris--r1', url: 'http://n:2' }];
    count.cluster = {
      error: null,
      workloads: [workload('iris--r2'), workload('iris--r1')],
      objects: [
        object('Service', 'iris--r2', 'iris', 'iris--r2'),
        object('Service', 'iris', 'iris', null),
        object('Secret', 'slipway-dev', null, null),
      ],
    };
    assert.deepEqual(unaccounted(count), []);
    count.kept = [];
    assert.deepEqual(unaccounted(count), [
      'deployment iris--r1 in namespace ml: gets no traffic and belongs to no deployment under way',
    ]);
    count.cluster.workloads.pop();
    count.cluster.objects.push(
      object('Pod', 'iris--r1-x', 'iris', 'iris--r1'),
      object('Ingress', 'old', 'old', null),
      { ...object('Secret', 'slipway-dev', null, null), namespace: 'other' },
    );
    assert.deepEqual(unaccounted(count), [
      'object Pod iris--r1-x in namespace ml: its deployment iris--r1 does not exist',
      'object Ingress old in namespace ml: service old is not served from here',
      'object Secret slipway-dev in namespace other: there is no workload here any more',
    ]);
    count.cluster = { error: 'refused', workloads: [], objects: [] };
    assert.deepEqual(unaccounted(count), ['cluster kubernetes: refused']);
  });

  test('of a node that is away tells just that', () => {
    const count = healthy();
    count.nodes[0] = { node: 'local', containers: [], images: [], error: 'refused' };
    assert.deepEqual(unaccounted(count), ['node local: refused']);
  });
});
