import { ApiException } from '@kubernetes/client-node';
import { messageOf, Refused, SlipwayError } from '../../../../contract/errors.js';
import type { Cluster } from '../cluster.js';
import { statusOf, withoutSecrets, type Status } from './status.js';

/** The apiserver refused, or could not be reached; the message says what was being done and names the host. */
export class KubernetesError extends Error {
  override readonly name: string = 'KubernetesError';

  constructor(
    readonly doing: string,
    readonly host: string,
    /** The apiserver's answer; null when there was none. */
    readonly status: Status | null,
    reason: string,
  ) {
    super(`${doing}: ${reason}`);
  }

  /** HTTP status; undefined without an answer. */
  get code(): number | undefined {
    return this.status?.code;
  }
}

/** Fields that server-side apply would take from other managers. */
export class ApplyConflict extends KubernetesError {
  override readonly name = 'ApplyConflict';

  constructor(
    doing: string,
    host: string,
    status: Status,
    readonly conflicts: { manager: string; field: string }[],
  ) {
    const told = conflicts.map(({ manager, field }) => `${field} belongs to "${manager}"`).join(', ');
    super(doing, host, status, told);
  }
}

/** `conflict with "kubectl-edit" using apps/v1`, also with a subresource and a time. */
const conflicting = /^conflict with "([^"]*)"/;
/** https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go */
const unauthorized =
  /User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?/;

/**
 * Turns what the client throws into what should be done about it. A {@link SlipwayError} for what another try cannot
 * mend: no such namespace, refused by validation; {@link Refused} when an administrator can: no permission, credentials
 * not accepted, refused by quota or admission. Else a {@link KubernetesError}, {@link ApplyConflict} among them: not found (404), conflicts (409), too many requests,
 * errors of the server, nothing reached.
 */
export function translate(cluster: Pick<Cluster, 'kubeconfig'>, doing: string, cause: unknown): Error {
  const { host, identity } = cluster.kubeconfig;
  if (cause instanceof SlipwayError || cause instanceof KubernetesError) return cause;
  if (!(cause instanceof ApiException)) return unreached(host, doing, cause);
  const status = statusOf(cause as ApiException<unknown>);
  const { code, message, reason } = status;
  const final = (text: string, details: Record<string, unknown>) =>
    new SlipwayError('RolloutFailed', `${doing}: ${text}`, { host, code, ...details });
  const refused = (text: string, details: Record<string, unknown> = {}) =>
    new Refused('RolloutFailed', `${doing}: ${text}`, { host, code, ...details });
  if (code === 401)
    return refused(
      `the cluster at ${host} does not accept the credentials of ${identity}: the token is invalid or has expired`,
    );
  // Of validating admission policies and webhooks: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
  if (code < 500 && /admission webhook "[^"]*" denied|ValidatingAdmissionPolicy/.test(message))
    return refused(message, { reason: 'AdmissionDenied' });
  if (code === 403) return forbidden(status, refused);
  if (code === 404 && status.kind === 'namespaces' && status.name !== '')
    return new SlipwayError(
      'NotFound',
      `${doing}: there is no namespace "${status.name}" in the cluster at ${host}`,
      {
        namespace: status.name,
      },
    );
  if (code === 400 || code === 422) return final(message, { reason });
  const conflicts = status.causes.flatMap(({ reason: why, message: text, field }) =>
    why === 'FieldManagerConflict' ? [{ manager: conflicting.exec(text)?.[1] ?? '', field }] : [],
  );
  if (code === 409 && conflicts.length > 0) return new ApplyConflict(doing, host, status, conflicts);
  const passing = code === 429 || code >= 500 ? `the cluster at ${host} answers ${code}: ` : '';
  return new KubernetesError(doing, host, status, passing + message);
}

function forbidden(
  { message, reason, causes }: Status,
  refused: (text: string, details: Record<string, unknown>) => Refused,
): Refused {
  const [, user, verb, resource = '', group = '', namespace] = unauthorized.exec(message) ?? [];
  // Quota, limit ranges, pod security and namespaces on their way out are "Forbidden" as well.
  if (verb === undefined)
    return refused(message, {
      reason: /exceeded quota/.test(message) ? 'QuotaExceeded' : causes[0]?.reason || reason,
    });
  const of = group === '' ? '' : ` of API group "${group}"`;
  const place = namespace === undefined ? 'in the whole cluster' : `in namespace "${namespace}"`;
  return refused(
    `forbidden: "${user}" lacks the permission to ${verb} "${resource}"${of} ${place}; ` +
      `a ${namespace === undefined ? 'ClusterRole' : 'Role'} with this verb and resource has to be bound to it`,
    { reason: 'Forbidden', user, verb, resource, group, ...(namespace !== undefined && { namespace }) },
  );
}

function unreached(host: string, doing: string, cause: unknown): Error {
  const text = withoutSecrets(messageOf(cause));
  // KubernetesObjectApi looks a kind up before it asks for an object of it.
  const [, version, kind] = /^Unrecognized API version and kind: (\S+) (\S+)/.exec(text) ?? [];
  if (kind !== undefined)
    return new SlipwayError(
      'NotFound',
      `${doing}: the cluster at ${host} has no kind "${kind}" in ${version}`,
      {
        kind,
        apiVersion: version,
      },
    );
  const why = text.replace(/^request to \S+ failed, reason: /, '');
  return new KubernetesError(doing, host, null, `cannot reach the cluster at ${host}: ${why}`);
}
