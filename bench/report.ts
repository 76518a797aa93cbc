/** One timed step: seconds from its start to the digest in the registry, bytes sent to the registry meanwhile. */
export type Measured = { way: 'slipway' | 'docker'; step: string; seconds: number; bytes: number };

type Run = { size: number; changed: number; builder: string; results: Measured[] };

/** Prints what was measured, with ratios to Docker's refresh and to the size of the changed file. */
export function report({ size, changed, builder, results }: Run, json: boolean): void {
  const peer = results.find(({ way, step }) => way === 'docker' && step === 'refresh')!;
  const first = results.find(({ way, step }) => way === 'docker' && step === 'first time')!;
  const rows = results.map((result) => {
    const { step, seconds, bytes } = result;
    const other = step.startsWith('first') ? first : peer;
    return { ...result, timesFaster: other.seconds / seconds, bytesPerChanged: bytes / changed };
  });
  if (json) {
    console.log(JSON.stringify({ size, files: 10, changed, builder, results: rows }, null, 2));
    return;
  }
  console.log(
    `\n${megabytes(size)} MB of weights in ten files, one of ${megabytes(changed)} MB changed; ${builder}\n`,
  );
  console.log(line('way', 'step', 'seconds', 'MB to registry', '× changed file', '× faster than docker'));
  for (const { way, step, seconds, bytes, bytesPerChanged, timesFaster } of rows)
    console.log(
      line(
        way,
        step,
        seconds.toFixed(2),
        (bytes / 1e6).toFixed(1),
        step.startsWith('first') ? '' : bytesPerChanged.toFixed(3),
        way === 'docker' ? '' : timesFaster.toFixed(1),
      ),
    );
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

const line = (way: string, step: string, ...numbers: string[]): string =>
  `${way.padEnd(8)} ${step.padEnd(54)}${numbers.map((it) => it.padStart(it.length > 8 ? 22 : 16)).join('')}`;
