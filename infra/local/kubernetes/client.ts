import { Agent, fetch } from 'undici';
import { nodeName, type ClusterNode } from './node.js';
import { partsOf } from './parts.js';
import { messageOf } from '../../../contract/errors.js';

/** The parts make their own certificates at each start; they are asked nothing but whether they are well. */
const agent = new Agent({ connect: { rejectUnauthorized: false, timeout: 3_000 } });

type Asked = Pick<ClusterNode, 'address' | 'token'>;

/** Throws unless the URL answers 200; answers the body. */
export async function ask(
  url: string,
  { token }: Pick<Asked, 'token'>,
  signal: AbortSignal,
): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers, signal, dispatcher: agent });
  const body = await response.text();
  if (response.status !== 200)
    throw new Error(`asking "${url}": status ${response.status} ${body.slice(0, 200)}`);
  return body;
}

/** Throws, naming every part that is not well, unless the node takes pods. */
export async function checkCluster(node: ClusterNode, signal: AbortSignal): Promise<void> {
  const parts = partsOf(node).filter(({ health }) => health !== undefined);
  const problems = await Promise.all(
    parts.map(async ({ name, health }) => {
      try {
        await ask(health as string, node, signal);
        return null;
      } catch (error) {
        return `${name}: ${deepest(error)}`;
      }
    }),
  );
  const named = problems.filter((problem) => problem !== null);
  if (named.length > 0) throw new Error(named.join('; '));

  const api = `https://${node.address}:6443/api/v1`;
  const { status } = JSON.parse(await ask(`${api}/nodes/${nodeName}`, node, signal)) as {
    status: { conditions?: { type: string; status: string; message: string }[] };
  };
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True')
    throw new Error(`the node is not ready: ${ready?.message ?? 'no condition yet'}`);
  // Pods of the namespace are refused until its account is there.
  await ask(`${api}/namespaces/default/serviceaccounts/default`, node, signal);
}

/** `fetch failed` says nothing; its cause does. */
const deepest = (error: unknown): string =>
  error instanceof Error && error.cause instanceof Error ? deepest(error.cause) : messageOf(error);
