import { createServer } from 'node:net';
import getPort from 'get-port';

/** Ports of a stack in the order of their preferred numbers: 7800 and up, or from `SLIPWAY_PORT_BASE`. */
export const portNames = [
  'gateway',
  'api',
  'temporal',
  'temporalUi',
  's3',
  's3Console',
  'registry',
  'postgres',
  'workerMetrics',
] as const;
export type PortName = (typeof portNames)[number];
export type Ports = Record<PortName, number>;

/** The number a port has when it is free at the first `up`. */
export function preferredPort(name: PortName): number {
  return Number(process.env['SLIPWAY_PORT_BASE'] ?? 7800) + portNames.indexOf(name);
}

/**
 * Chooses ports: a remembered one whenever it is ours or free, else one like the preferred one.
 * `held` says that a port is taken by this stack's own running component.
 */
export async function choosePorts(
  remembered: Partial<Ports>,
  held: (name: PortName) => Promise<boolean>,
): Promise<Ports> {
  const chosen: Partial<Ports> = {};
  for (const name of portNames) {
    const kept = remembered[name];
    if (kept !== undefined && ((await held(name)) || (await isFree(kept)))) chosen[name] = kept;
  }
  for (const name of portNames) {
    if (chosen[name] !== undefined) continue;
    const exclude = Object.values({ ...remembered, ...chosen });
    chosen[name] = await getPort({ host: '127.0.0.1', port: likedPorts(name), exclude });
  }
  return chosen as Ports;
}

/** The preferred number, then the same in the next blocks of ten: a second stack's ports look like the first's. */
const likedPorts = (name: PortName): number[] =>
  Array.from({ length: 20 }, (_, block) => preferredPort(name) + block * 10);

/** Can something listen on this loopback port now? */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
