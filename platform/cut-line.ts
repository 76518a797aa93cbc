/** Characters of one line of somebody's output that are kept: whatever it prints, a few dozen lines fit into a failure. */
const maxLine = 2_000;

/** A line without the space at its end, and without what is too long of it. */
export const cutLine = (line: string): string =>
  // Half a character would be no text any more.
  line
    .trimEnd()
    .slice(0, maxLine)
    .replace(/[\uD800-\uDBFF]$/, '');
