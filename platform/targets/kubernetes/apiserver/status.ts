import type { ApiException } from '@kubernetes/client-node';

/**
 * What an apiserver says when it refuses: a Status object, or plain text from what stands before it.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
export type Status = {
  /** HTTP status. */
  code: number;
  /** `Forbidden`, `Conflict`, `AlreadyExists`, …; empty in plain text. */
  reason: string;
  message: string;
  /** What it is about: resource (plural), its group, object. */
  kind: string;
  group: string;
  name: string;
  causes: { reason: string; message: string; field: string }[];
};

/** Reads the body of a refusal, which clients hand over as an object or as text. */
export function statusOf({ code, body }: ApiException<unknown>): Status {
  const parsed = asObject(body);
  const details = asObject(parsed?.['details']);
  const causes = Array.isArray(details?.['causes']) ? (details['causes'] as unknown[]) : [];
  const plain = typeof body === 'string' && !parsed ? withoutSecrets(body.trim()).slice(0, 500) : '';
  return {
    code,
    reason: text(parsed?.['reason']),
    message: withoutSecrets(text(parsed?.['message'])) || plain || `HTTP status ${code}`,
    kind: text(details?.['kind']),
    group: text(details?.['group']),
    name: text(details?.['name']),
    causes: causes.map((cause) => {
      const { reason, message, field } = asObject(cause) ?? {};
      return { reason: text(reason), message: withoutSecrets(text(message)), field: text(field) };
    }),
  };
}

/** Bearer tokens and JSON Web Tokens, wherever an error quotes them. */
export const withoutSecrets = (quoted: string): string =>
  quoted
    .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 …')
    .replace(/\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g, '…');

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function asObject(value: unknown): Record<string, unknown> | null {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  if (typeof value !== 'string' || !value.trimStart().startsWith('{')) return null;
  try {
    return JSON.parse(value) as Record<string, unknown>;
  } catch {
    return null;
  }
}
