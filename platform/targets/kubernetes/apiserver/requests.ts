/** Counts the requests made to a cluster, by verb and resource: `PATCH deployments`, `WATCH pods`. */
export class Requests {
  readonly #counts = new Map<string, number>();

  count(method: string, url: string): void {
    const key = describe(method, new URL(url));
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** What was counted so far. */
  snapshot(): Record<string, number> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => a.localeCompare(b)));
  }
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris */
function describe(method: string, { pathname, searchParams }: URL): string {
  const match =
    /^\/(?:api|apis\/[^/]+)\/[^/]+(?:\/namespaces\/[^/]+(?=\/))?\/([^/]+)(?:\/[^/]+(?:\/([^/]+))?)?/.exec(
      pathname,
    );
  const verb = searchParams.get('watch') === 'true' ? 'WATCH' : method;
  const what = match ? [match[1], match[2]].filter(Boolean).join('/') : pathname;
  return `${verb} ${what}${searchParams.has('dryRun') ? ' (dry run)' : ''}`;
}
