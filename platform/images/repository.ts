import { createHash } from 'node:crypto';

/**
 * The repository that a model's images live in: `slipway/<model>`. Runs of separators, which repositories may not
 * have, become one `-`; a `.` and 8 hex digits of the name's sha256 keep such names apart, as no name has a `.`.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
export function repositoryOf(model: string): string {
  const name = model.replace(/[-_]{2,}/g, '-');
  if (name === model) return `slipway/${model}`;
  return `slipway/${name}.${createHash('sha256').update(model).digest('hex').slice(0, 8)}`;
}
