/** The last error among log lines, which servers follow with lines about their own end. */
export const tellingLine = (logs: string[]): string =>
  (logs.findLast((line) => /\b\w*(?:Error|Exception)\b/.test(line)) ?? logs.at(-1) ?? '').slice(0, 500);
