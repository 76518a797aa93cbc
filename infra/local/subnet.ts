import { readFile } from 'node:fs/promises';
import type { Home } from './home.js';

/** A number N such that nothing on the machine has a route to 10.`second`.N.0/24; another one for another home. */
export async function chooseSubnet(second: number, home: Home): Promise<number> {
  const first = parseInt(home.id, 16) % 256;
  for (let step = 0; step < 256; step += 1) {
    const candidate = (first + step) % 256;
    if (await isUnused(second, candidate)) return candidate;
  }
  throw new Error(`choosing a network: every 10.${second}.N.0/24 has a route already`);
}

/** No route but the default one may lead to a part of it or to more than it. */
export async function isUnused(second: number, third: number): Promise<boolean> {
  const address = ((10 << 24) | (second << 16) | (third << 8)) >>> 0;
  const routes = (await readFile('/proc/net/route', 'utf8')).trim().split('\n').slice(1);
  return !routes.some((line) => {
    const fields = line.split('\t');
    const [destination, mask] = [littleEndian(fields[1]), littleEndian(fields[7])];
    const common = (mask & 0xff_ff_ff_00) >>> 0;
    return mask !== 0 && (destination & common) >>> 0 === (address & common) >>> 0;
  });
}

const littleEndian = (hex = '0'): number => Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE();
