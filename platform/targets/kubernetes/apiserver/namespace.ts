import { SlipwayError } from '../../../../contract/errors.js';
import { ask } from './ask.js';
import type { Cluster } from '../cluster.js';

/**
 * What has become of a namespace that is gone or on its way out, for people: `namespace "ml" is gone`. Null while it is
 * there, and where one may not ask.
 */
export async function lossOf(cluster: Cluster, name: string, signal?: AbortSignal): Promise<string | null> {
  try {
    const { metadata } = await ask(
      cluster,
      `looking for namespace "${name}"`,
      () => cluster.core.readNamespace({ name }),
      { signal },
    );
    return metadata?.deletionTimestamp ? `namespace "${name}" is being deleted` : null;
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    return error.type === 'NotFound' ? `namespace "${name}" is gone` : null;
  }
}
