import type { TestCluster } from './cluster.js';

const name = 'slipway-test-room';
/** Label of namespaces whose pods are promised little. */
export const crowded = 'slipway.test/crowded';

/** Whatever a pod's first container asks for; what it may use stays as it is. */
const asked = 'object.spec.containers[0].?resources.?requests.?cpu';
const promise = 'JSONPatch{op: "replace", path: "/spec/containers/0/resources/requests/cpu", value: "50m"}';

/**
 * Lets pods of crowded namespaces use the processor they ask for without having it kept for them, as clusters do that
 * promise more than they have: tests side by side wait more than they compute, and a small machine's node would have no
 * room for the pods of two.
 */
export async function makeRoom({ kubectl }: TestCluster): Promise<void> {
  const apiVersion = 'admissionregistration.k8s.io/v1beta1';
  const pods = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] };
  const items = [
    {
      apiVersion,
      kind: 'MutatingAdmissionPolicy',
      metadata: { name },
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { [crowded]: 'true' } },
          resourceRules: [pods],
        },
        matchConditions: [{ name: 'asks', expression: `${asked}.hasValue()` }],
        failurePolicy: 'Fail',
        reinvocationPolicy: 'Never',
        mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: `[${promise}]` } }],
      },
    },
    {
      apiVersion,
      kind: 'MutatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name },
    },
  ];
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['apply', '--server-side', '-f', '-'], { input: list });
}
