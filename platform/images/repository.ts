import { createHash } from 'node:crypto';
import type { Stack } from '../../contract/stack.js';

/**
 * The repository that a model's images live in: `slipway/<model>`, with the prefix that the installation has. Runs of separators, which repositories may not
 * have, become one `-`; a `.` and 8 hex digits of the name's sha256 keep such names apart, as no name has a `.`.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
export function repositoryOf({ prefix }: Pick<Stack['registry'], 'prefix'>, model: string): string {
  const name = model.replace(/[-_]{2,}/g, '-');
  if (name === model) return `${prefix}/${model}`;
  return `${prefix}/${name}.${createHash('sha256').update(model).digest('hex').slice(0, 8)}`;
}
