/** A server that many test files of one run share. */
export type RunServer = {
  /** What the environment of the tests says of it. */
  env: Record<string, string>;
  close(): Promise<void>;
};

/**
 * Runs a server of a test run as this process: starts it, prints `ready {…}` with the environment for the tests, and ends
 * it when told to (SIGTERM, SIGINT), or when standard input closes: whoever started it is gone then.
 */
export async function runServer(start: () => Promise<RunServer>): Promise<void> {
  const told = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => resolve());
    process.stdin.on('close', resolve).on('error', () => resolve());
    process.stdin.resume();
  });
  const server = await start();
  try {
    console.log(`ready ${JSON.stringify(server.env)}`);
    await told;
  } finally {
    await server.close();
  }
  process.stdin.destroy();
}
