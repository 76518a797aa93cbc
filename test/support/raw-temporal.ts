import type { Client } from '@temporalio/client';

/** What Temporal itself keeps of a workflow, as anyone sees it who reads its database. */
export type Kept = {
  /** Every text and all bytes of history and description, in one. */
  text: string;
  /** Encodings of all payloads but those of search attributes, which cannot be encoded. */
  encodings: string[];
};

/** Asks over plain gRPC; `from` is the first event that is looked at. */
export async function whatIsKept(
  { workflowService, options }: Client,
  workflowId: string,
  from = 0,
): Promise<Kept> {
  const { namespace } = options;
  const execution = { workflowId };
  const pageFrom = (nextPageToken: Uint8Array | null) =>
    workflowService.getWorkflowExecutionHistory({ namespace, execution, nextPageToken });
  let page = await pageFrom(null);
  const events: unknown[] = page.history?.events ?? [];
  while (page.nextPageToken?.length) {
    page = await pageFrom(page.nextPageToken);
    events.push(...(page.history?.events ?? []));
  }
  const description = await workflowService.describeWorkflowExecution({ namespace, execution });
  const kept: Kept = { text: '', encodings: [] };
  collect([events.slice(from), description], kept);
  return kept;
}

/** Number of events that a workflow's history has. */
export async function eventsOf({ workflowService, options }: Client, workflowId: string): Promise<number> {
  const { workflowExecutionInfo } = await workflowService.describeWorkflowExecution({
    namespace: options.namespace,
    execution: { workflowId },
  });
  return Number(workflowExecutionInfo?.historyLength);
}

function collect(value: unknown, kept: Kept): void {
  if (typeof value === 'string') kept.text += `${value}\n`;
  else if (value instanceof Uint8Array) kept.text += `${Buffer.from(value).toString('utf8')}\n`;
  else if (Array.isArray(value)) for (const each of value) collect(each, kept);
  else if (typeof value === 'object' && value !== null) {
    const { encoding, type } = (value as { metadata?: Record<string, Uint8Array> | null }).metadata ?? {};
    if (encoding && !type) kept.encodings.push(Buffer.from(encoding).toString());
    for (const each of Object.values(value)) collect(each, kept);
  }
}
