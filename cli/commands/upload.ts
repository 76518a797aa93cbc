import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import type { ApiClient } from '../../api/client.js';
import type { Upload, UploadWatch } from '../../api/upload.js';
import { messageOf, SlipwayError } from '../../contract/errors.js';
import { Name, WeightsDate } from '../../contract/names.js';
import type { PinnedArtifact } from '../../contract/pipeline.js';
import { withApi } from '../connection.js';
import { interruptedStatus, Told } from '../failure.js';
import { humanBytes } from '../../contract/quantities.js';
import { note, print, printJson } from '../output.js';
import { argument, UsageError } from '../usage.js';

type Options = { source?: string; weights?: string; date?: string; json?: boolean };

export function registerUpload(program: Command): void {
  program
    .command('upload')
    .description('upload source code or weights; goes on where an interrupted upload stopped')
    .argument('<model>', 'name of the model', argument(Name))
    .option('--source <file>', 'zip with the inference code')
    .option('--weights <file>', 'zip with the weights')
    .option('--date <YYYYMMDD>', 'date of the weights (default: today, UTC)', argument(WeightsDate))
    .option('--json', 'print what was stored as JSON')
    .addHelpText('after', '\nExample:\n  slipway upload iris --weights iris.zip --date 20260131')
    .action(async (model: string, { source, weights, date, json }: Options) => {
      if (!source && !weights) throw new UsageError('name a file with --source or --weights');
      if (date && !weights) throw new UsageError('--date goes with --weights');
      const wanted: Upload[] = [
        ...(source ? [{ model, kind: 'source', file: source } as const] : []),
        ...(weights ? [{ model, kind: 'weights', file: weights, ...(date ? { date } : {}) } as const] : []),
      ];
      for (const { file } of wanted) await checkZip(file);
      const stored = await withApi((client) => uploadAll(client, wanted));
      if (json) return printJson(stored);
      for (const { object, digest, files, bytes } of stored)
        print(`${object.key}: ${files} files, ${humanBytes(bytes)}, content ${digest}`);
    });
}

/** A file that is no zip at all is told before it is sent; the API judges the rest. */
async function checkZip(file: string): Promise<void> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new UsageError(`reading "${file}": there is no such file`, { cause });
  });
  if (!found.isFile()) throw new UsageError(`reading "${file}": not a file`);
  const { openPromise } = await import('yauzl');
  try {
    (await openPromise(file, { lazyEntries: true })).close();
  } catch (cause) {
    throw new SlipwayError('InvalidInput', `reading "${file}": ${messageOf(cause)}`, {}, { cause });
  }
}

async function uploadAll(client: ApiClient, wanted: Upload[]): Promise<PinnedArtifact[]> {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort(new Told(interruptedStatus));
  process.once('SIGINT', stop);
  try {
    const stored: PinnedArtifact[] = [];
    for (const what of wanted) stored.push(await withBar(client, what, interrupted.signal));
    return stored;
  } catch (error) {
    if (interrupted.signal.aborted) {
      note('interrupted; what is stored is not sent again when the same command is run again');
      throw interrupted.signal.reason;
    }
    throw error;
  } finally {
    process.removeListener('SIGINT', stop);
  }
}

async function withBar(client: ApiClient, what: Upload, signal: AbortSignal): Promise<PinnedArtifact> {
  const { upload } = await import('../../api/upload.js');
  const resumed: UploadWatch = {
    signal,
    onResumed: ({ parts }) => note(`going on with an upload of which ${parts.length} parts are stored`),
  };
  if (!process.stderr.isTTY) return await upload(client, what, resumed);
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: `${what.kind} {bar} {percentage}% {stored} of {all}, {eta_formatted}`,
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(1, 0, { stored: '', all: '' });
  try {
    const onStored = (stored: number, size: number): void => {
      bar.setTotal(size);
      bar.update(stored, { stored: humanBytes(stored), all: humanBytes(size) });
    };
    return await upload(client, what, { ...resumed, onStored });
  } finally {
    bar.stop();
  }
}
