import { StringDecoder } from 'node:string_decoder';
import type { Progress } from '../../../contract/pipeline.js';
import { cutLine } from '../../cut-line.js';
import type { BuildTrace, Vertex } from './trace.js';

/** Lines of the step that failed that are kept for the error. */
const kept = 60;
/** Characters of a line without an end that are waited with for it; what follows is left out. */
const unended = 64 * 1024;
/** `[stage-0 2/5] RUN …`, but not `[internal] …`. */
const numbered = /^\[(?:\S+ )?(?<step>\d+)\/(?<total>\d+)\] (?<what>.*)$/s;

type Step = {
  name: string;
  announced: boolean;
  ended: boolean;
  lines: string[];
  decoder: StringDecoder;
  rest: string;
};

/** Follows a BuildKit build: turns its trace into log lines and step k of n, and knows what failed. */
export class BuildProgress {
  readonly #steps = new Map<string, Step>();
  #current: Progress = { message: 'building' };
  /** Name and last lines of the step that failed. */
  failed: { step: string; lines: string[] } | null = null;

  constructor(
    private readonly log: (line: string) => void,
    private readonly redact: (text: string) => string,
  ) {}

  see(trace: BuildTrace): void {
    // Vertices of one message come in any order; a step's start is announced before its lines.
    for (const vertex of trace.vertexes) this.#begin(vertex);
    for (const { vertex, msg } of trace.logs) this.#print(vertex, msg);
    for (const vertex of trace.vertexes) this.#end(vertex);
  }

  get progress(): Progress {
    return this.#current;
  }

  #begin({ digest, name, started, cached }: Vertex): void {
    const step = this.#steps.get(digest) ?? {
      name,
      announced: false,
      ended: false,
      lines: [],
      decoder: new StringDecoder(),
      rest: '',
    };
    this.#steps.set(digest, step);
    if (!(started || cached) || step.announced) return;
    step.announced = true;
    this.log(`${cached ? 'CACHED ' : ''}${name}`);
    const { step: number, total, what } = numbered.exec(name)?.groups ?? {};
    if (number === undefined) return;
    this.#current = {
      message: `step ${number} of ${total}: ${what?.replace(/--mount=\S+\s+/g, '')}`,
      done: Number(number) - 1,
      total: Number(total),
      unit: 'steps',
    };
  }

  #print(vertex: string, bytes: Uint8Array): void {
    const step = this.#steps.get(vertex);
    if (!step) return;
    const lines = (step.rest + step.decoder.write(Buffer.from(bytes))).split(/\r?\n|\r/);
    step.rest = (lines.pop() ?? '').slice(0, unended);
    for (const line of lines) this.#line(step, line);
  }

  #line(step: Step, raw: string): void {
    // Half a secret would not be known for one.
    const line = cutLine(this.redact(raw));
    if (line === '') return;
    this.log(line);
    step.lines.push(line);
    if (step.lines.length > kept) step.lines.shift();
    const { message } = this.#current;
    this.#current = {
      ...this.#current,
      message: `${message.split(' · ', 1)[0]} · ${line.trim().slice(0, 120)}`,
    };
  }

  #end({ digest, completed, error }: Vertex): void {
    const step = this.#steps.get(digest);
    if (!step || step.ended || !(completed || error)) return;
    step.ended = true;
    if (step.rest !== '') this.#line(step, step.rest);
    step.rest = '';
    if (error === '') return;
    this.log(`FAILED ${step.name}: ${error}`);
    this.failed ??= { step: step.name, lines: step.lines };
  }
}
