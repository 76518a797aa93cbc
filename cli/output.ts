import { stripVTControlCharacters, styleText } from 'node:util';

/** Colours only where a person looks at them. https://no-color.org */
const coloured = process.stdout.isTTY && process.stderr.isTTY && !process.env['NO_COLOR'];

// `slipway logs ID | head` ends the reader first; that is no error of anyone's.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });

type Style = Parameters<typeof styleText>[0];
export const paint = (style: Style, text: string): string => (coloured ? styleText(style, text) : text);

/** What models and builds print, without what would steer the terminal it is shown on. */
export const plain = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');

/** The one document that a command with `--json` prints. */
export const printJson = (value: unknown): void =>
  void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
/** One line of many: JSON Lines. https://jsonlines.org */
export const printJsonLine = (value: unknown): void =>
  void process.stdout.write(`${JSON.stringify(value)}\n`);
export const print = (line = ''): void => void process.stdout.write(`${line}\n`);
/** For people, beside what the command answers. */
export const note = (line: string): void => void process.stderr.write(`${line}\n`);

/** Columns aligned by their widest cell; the first row is the heading. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_cell, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  const line = (row: string[]): string =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  return rows.map((row, at) => (at === 0 ? paint('bold', line(row)) : line(row))).join('\n');
}

/** `4.2s`, `3m 05s`. */
export function humanTime(milliseconds: number): string {
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)}s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, '0')}s`;
}
