import { logUpdateStderr } from 'log-update';

/** Says what is being done; a line a step, or live lines on a terminal. Always on stderr: stdout is for results. */
export interface Report {
  /** Something `what` is doing now; replaces its earlier step on a terminal. */
  step(what: string, doing: string): void;
  /** How far the step is; where lines stay, only one in ten seconds is worth it. */
  detail(what: string, doing: string): void;
  /** `what` has come to its end. */
  done(what: string, result: string): void;
  /** Stops the live display, leaving finished lines. */
  close(): void;
}

/** For tests and `--json`. */
export const silent: Report = {
  step: () => undefined,
  detail: () => undefined,
  done: () => undefined,
  close: () => undefined,
};

export function report(stream: NodeJS.WriteStream = process.stderr): Report {
  return stream.isTTY ? live() : lines(stream);
}

function lines(stream: NodeJS.WriteStream): Report {
  const last = new Map<string, string>();
  let said = Date.now();
  const say = (what: string, text: string): void => {
    if (last.get(what) === text) return;
    last.set(what, text);
    said = Date.now();
    stream.write(`${what.padEnd(10)} ${text}\n`);
  };
  const detail = (what: string, text: string): void => {
    if (Date.now() - said > 10_000) say(what, text);
  };
  return { step: say, detail, done: say, close: () => undefined };
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

function live(): Report {
  const running = new Map<string, { doing: string; since: number }>();
  let frame = 0;
  const draw = (): void => {
    frame += 1;
    logUpdateStderr(
      [...running]
        .map(([what, { doing, since }]) => {
          const seconds = Math.round((Date.now() - since) / 1000);
          return `${frames[frame % frames.length]} ${what.padEnd(10)} ${doing}${seconds > 2 ? ` (${seconds} s)` : ''}`;
        })
        .join('\n'),
    );
  };
  const timer = setInterval(draw, 120);
  timer.unref();
  const step = (what: string, doing: string): void => {
    if (running.get(what)?.doing !== doing) running.set(what, { doing, since: Date.now() });
  };
  return {
    step,
    detail: step,
    done(what, result) {
      running.delete(what);
      logUpdateStderr.clear();
      process.stderr.write(`✓ ${what.padEnd(10)} ${result}\n`);
    },
    close() {
      clearInterval(timer);
      logUpdateStderr.clear();
      logUpdateStderr.done();
    },
  };
}
