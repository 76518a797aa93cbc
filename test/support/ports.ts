import { randomInt } from 'node:crypto';
import getPort, { portNumbers } from 'get-port';

/**
 * A port of this machine that is free, and that the system gives to no client: a server that starts later, or comes back,
 * finds it free still.
 */
export const serverPort = async (): Promise<number> => {
  const from = randomInt(7_000, 9_900);
  return await getPort({ port: portNumbers(from, from + 99) });
};
