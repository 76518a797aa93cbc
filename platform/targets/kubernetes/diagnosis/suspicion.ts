import type { Finding } from './finding.js';

/** Remembers since when something has been wrong: much of it passes by itself. */
export class Suspicion {
  readonly #since = new Map<string, number>();
  readonly #postponed = new Map<string, number>();
  #cleared = Date.now();

  /** The first of the findings that has lasted longer than it may. */
  overdue(findings: Finding[], now = Date.now()): Finding | undefined {
    const present = new Set(findings.map(keyOf));
    for (const key of this.#since.keys()) if (!present.has(key)) this.#since.delete(key);
    for (const finding of findings) {
      if (this.#since.has(keyOf(finding))) continue;
      const told = finding.since === undefined || Number.isNaN(finding.since) ? now : finding.since;
      this.#since.set(keyOf(finding), Math.min(now, Math.max(told, this.#cleared)));
    }
    return findings.find(
      (finding) =>
        this.lasted(finding, now) >= finding.grace && now >= (this.#postponed.get(keyOf(finding)) ?? 0),
    );
  }

  /** Milliseconds that it has been so. */
  lasted(finding: Finding, now = Date.now()): number {
    return now - (this.#since.get(keyOf(finding)) ?? now);
  }

  /** Not to be answered again for so many milliseconds. */
  postpone(finding: Finding, milliseconds: number): void {
    this.#postponed.set(keyOf(finding), Date.now() + milliseconds);
  }

  /** What was seen so far may have passed unseen. */
  clear(): void {
    this.#since.clear();
    this.#cleared = Date.now();
  }
}

/** The kubelet goes to and fro between trying to pull and waiting to. */
const keyOf = ({ pod, reason }: Finding): string =>
  `${pod?.metadata?.uid ?? ''} ${reason.replace('ErrImagePull', 'ImagePullBackOff')}`;

/** Whether it is the same that is wrong. */
export const isSame = (a: Finding, b: Finding): boolean => keyOf(a) === keyOf(b);
