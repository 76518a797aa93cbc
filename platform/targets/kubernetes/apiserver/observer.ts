import type { KubernetesObject } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';
import { translate } from './errors.js';
import { Followed, type Selection, type WatchBounds } from './watch.js';

/** Follows several selections for as long as something waits for them. */
export class Observer {
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #runs: Promise<unknown>[] = [];
  #failure: { error: unknown } | null = null;
  #changed = false;
  #wake: () => void = () => undefined;

  /**
   * @param doing what is waited for, for errors
   * @param signal its abort ends every connection at once
   */
  constructor(
    readonly cluster: Pick<Cluster, 'kubeconfig'>,
    readonly doing: string,
    readonly signal: AbortSignal,
    readonly bounds?: WatchBounds,
  ) {
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  follow<T extends KubernetesObject>(selection: Selection<T>): Followed<T> {
    const followed = new Followed(this.cluster, selection, () => this.#notify(), this.bounds);
    this.#runs.push(
      followed.run(this.#signal).catch((cause: unknown) => {
        this.#failure ??= { error: translate(this.cluster, this.doing, cause) };
        this.#notify();
      }),
    );
    return followed;
  }

  /**
   * Yields when something has changed since the last time, and at least every `tick` milliseconds. Throws the
   * apiserver's refusal, or the signal's reason.
   */
  async *changes(tick: number): AsyncGenerator<void, never> {
    for (;;) {
      this.signal.throwIfAborted();
      if (this.#failure) throw this.#failure.error;
      if (!this.#changed) await this.#change(tick);
      this.#changed = false;
      this.signal.throwIfAborted();
      yield;
    }
  }

  /** Ends every connection; returns when none is left. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('nobody waits any more'));
    await Promise.allSettled(this.#runs);
  }

  #notify(): void {
    this.#changed = true;
    this.#wake();
  }

  #change(tick: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, tick);
      this.#wake = done;
      this.#signal.addEventListener('abort', done, { once: true });
    });
  }
}
