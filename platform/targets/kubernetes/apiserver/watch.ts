import { setTimeout as sleep } from 'node:timers/promises';
import { ApiException, type KubernetesObject } from '@kubernetes/client-node';
import { messageOf } from '../../../../contract/errors.js';
import type { Cluster } from '../cluster.js';
import { open, textOf, type Query } from './request.js';
import { statusOf, withoutSecrets } from './status.js';

/**
 * Seconds after which the apiserver ends a watch, which is taken up again where it was; and those beyond until one
 * that has not told even its end is taken for dead.
 */
export type WatchBounds = { seconds: number; slack: number };
const defaultBounds: WatchBounds = { seconds: 60, slack: 10 };
/** Milliseconds between attempts while the apiserver is away: the first and the longest. */
const [firstPause, longestPause] = [200, 2_000];
/** Milliseconds a refusal of who asks must last: an apiserver that starts does not know all users and roles yet. */
const refusalLasts = 5_000;

/** Objects to follow: those of a path such as `/api/v1/namespaces/shop/pods`. `T` is as in JSON: times are text. */
export type Selection<T extends KubernetesObject> = {
  path: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Others are not stored. */
  keep?: (object: T) => boolean;
};

type List<T> = { metadata: { resourceVersion: string }; items: T[] };
type Event<T> = { type: string; object: T };

/** The objects of a selection as they are now. */
export async function listNow<T extends KubernetesObject>(
  cluster: Pick<Cluster, 'kubeconfig'>,
  selection: Selection<T>,
  signal: AbortSignal,
): Promise<{ items: T[]; version: string; clockOffset: number }> {
  const response = await open(cluster, selection.path, queryOf(selection), signal);
  const list = JSON.parse(await textOf(response)) as List<T>;
  const date = Date.parse(response.headers.date ?? '');
  return {
    items: list.items.filter((object) => selection.keep?.(object) ?? true).map(lean),
    version: list.metadata.resourceVersion,
    clockOffset: Number.isNaN(date) ? 0 : date - Date.now(),
  };
}

/** A selection's objects, kept up to date by one list and one watch. */
export class Followed<T extends KubernetesObject> {
  /** Whether the objects have been read once. */
  synced = false;
  /** Since when (milliseconds by this machine) the apiserver has not been reached, and why. */
  away: { since: number; why: string } | null = null;
  /** Since when, by this machine, it has been reached without a break. */
  steadySince = Infinity;
  /** The apiserver's clock minus this machine's, in milliseconds, to a second or so. */
  clockOffset = 0;
  #objects = new Map<string, T>();
  #version: string | null = null;

  constructor(
    readonly cluster: Pick<Cluster, 'kubeconfig'>,
    readonly selection: Selection<T>,
    readonly onChange: () => void,
    readonly bounds = defaultBounds,
  ) {}

  all(): T[] {
    return [...this.#objects.values()];
  }

  /** Follows until `signal` aborts. Throws only what waiting cannot mend: the apiserver's refusal. */
  async run(signal: AbortSignal): Promise<never> {
    for (let failures = 0; ;) {
      const began = Date.now();
      let heard = false;
      try {
        if (this.#version === null) await this.#list(signal);
        heard = await this.#watch(signal);
        // Whatever ends watches at once would otherwise be asked without a pause.
        failures = heard || Date.now() - began > 5_000 ? 0 : failures + 1;
      } catch (error) {
        signal.throwIfAborted();
        if (this.#isRefusal(error)) throw error;
        failures += 1;
        // 410: what happened since is forgotten; 504: this apiserver does not yet know of it.
        if (error instanceof ApiException && [410, 504].includes(error.code)) this.#version = null;
        else this.#lost(error);
      }
      const pause = Math.min(longestPause, firstPause * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
      if (failures > 0) await sleep(pause, undefined, { signal });
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { items, version, clockOffset } = await listNow(this.cluster, this.selection, signal);
    this.#objects = new Map(items.map((object) => [keyOf(object), object]));
    this.#version = version;
    this.clockOffset = clockOffset;
    this.synced = true;
    this.#reached();
  }

  /** Returns when the apiserver has ended the watch: whether anything was heard. */
  async #watch(signal: AbortSignal): Promise<boolean> {
    const query: Query = {
      ...queryOf(this.selection),
      watch: 'true',
      resourceVersion: this.#version ?? undefined,
      allowWatchBookmarks: 'true',
      timeoutSeconds: this.bounds.seconds,
    };
    const silence = (this.bounds.seconds + this.bounds.slack) * 1_000;
    const response = await open(this.cluster, this.selection.path, query, signal, silence);
    this.#reached();
    let heard = false;
    let rest = '';
    for await (const chunk of response.setEncoding('utf8')) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as Event<T>);
      heard ||= lines.length > 0;
      this.onChange();
    }
    return heard;
  }

  #take({ type, object }: Event<T>): void {
    if (type === 'ERROR') {
      const { code } = object as { code?: number };
      // Whatever else went wrong with it, reading everything again mends it.
      throw new ApiException(code === 504 ? 504 : 410, 'the watch cannot go on', object, {});
    }
    this.#version = object.metadata?.resourceVersion ?? this.#version;
    if (type === 'BOOKMARK') return;
    if (type === 'DELETED' || this.selection.keep?.(object) === false) this.#objects.delete(keyOf(object));
    else this.#objects.set(keyOf(object), lean(object));
  }

  #reached(): void {
    if (this.away || this.steadySince === Infinity) this.steadySince = Date.now();
    this.away = null;
    this.onChange();
  }

  #lost(error: unknown): void {
    const why =
      error instanceof ApiException
        ? `${error.code} ${statusOf(error).message}`
        : withoutSecrets(messageOf(error));
    this.away = { since: this.away?.since ?? Date.now(), why };
    this.steadySince = Infinity;
    this.onChange();
  }

  /** Whether the apiserver does not want to be asked so, now or ever. */
  #isRefusal(error: unknown): boolean {
    if (!(error instanceof ApiException)) return false;
    if ([401, 403].includes(error.code))
      return this.away !== null && Date.now() - this.away.since > refusalLasts;
    return !this.synced && [400, 404, 405, 422].includes(error.code);
  }
}

const queryOf = ({ labelSelector, fieldSelector }: Selection<never>): Query => ({
  labelSelector,
  fieldSelector,
});

const keyOf = ({ metadata }: KubernetesObject): string =>
  `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;

/** Who set which field when: as large as the object itself, and asked for by nobody here. */
function lean<T extends KubernetesObject>(object: T): T {
  if (object.metadata) delete object.metadata.managedFields;
  return object;
}
