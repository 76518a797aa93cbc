import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { helm } from '../../infra/local/tools/helm.js';
import { getTool } from '../../infra/local/tools/tool.js';

/** The chart is in the sources, not in what is compiled from them. */
export const chart = fileURLToPath(new URL('../../../infra/kubernetes/slipway', import.meta.url));

export type Values = Record<string, unknown>;

/** Runs Helm against a cluster, or none; answers what it prints, throws with what it says when it fails. */
export async function runHelm(args: string[], kubeconfig?: string): Promise<string> {
  const path = await getTool(helm, () => undefined, AbortSignal.timeout(20 * 60_000));
  const folder = await mkdtemp(join(tmpdir(), 'slipway-helm-'));
  try {
    const homes = { HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder };
    const env = { ...homes, ...(kubeconfig && { KUBECONFIG: kubeconfig }) };
    return (await execa(path, args, { env, stdin: 'ignore' })).stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Values as a file, as secrets do not belong into arguments. */
export async function withValues<T>(values: Values, use: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-values-'));
  try {
    const file = join(folder, 'values.json');
    await writeFile(file, JSON.stringify(values), { mode: 0o600 });
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}
