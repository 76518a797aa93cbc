import type { DeploymentStatus } from '../contract/deployment.js';
import { printJsonLine } from './output.js';
import { stageLines, stepLines } from './stage-view.js';

/** Shows a deployment while it goes on. */
export type View = {
  /** Milliseconds between two looks. */
  interval: number;
  show(status: DeploymentStatus): void;
  /** Leaves on the screen what is there. */
  done(): void;
};

/** Stages drawn over themselves, for a person at a terminal. */
export async function liveView(stream: NodeJS.WriteStream): Promise<View> {
  const { createLogUpdate } = await import('log-update');
  const screen = createLogUpdate(stream);
  return {
    interval: 250,
    show: (status) => screen(stageLines(status, stream.columns).join('\n')),
    done: () => screen.done(),
  };
}

/** How often a running stage says how far it is where no terminal is. */
const saying = 5_000;

/** A line for each change, for logs. */
export function plainView(stream: NodeJS.WritableStream): View {
  const told = new Set<string>();
  let said = Date.now();
  const tell = (line: string): void => {
    if (told.has(line)) return;
    told.add(line);
    stream.write(`${line}\n`);
  };
  return {
    interval: 500,
    show(status) {
      for (const line of stepLines(status)) tell(line);
      const message = status.progress?.message;
      if (!message || !status.stage || Date.now() - said < saying) return;
      tell(status.canary ? message : `${status.stage}: ${message}`);
      said = Date.now();
    },
    done: () => undefined,
  };
}

/** Every status that differs from the one before, as JSON Lines. */
export function jsonView(): View {
  let last = '';
  return {
    interval: 500,
    show(status) {
      const text = JSON.stringify(status);
      if (text !== last) printJsonLine(status);
      last = text;
    },
    done: () => undefined,
  };
}

/** What fits `stream`: drawn on a terminal that says how large it is, else line by line. */
export const viewFor = async (stream: NodeJS.WriteStream): Promise<View> =>
  stream.isTTY && stream.rows > 0 && stream.columns > 0 ? await liveView(stream) : plainView(stream);
