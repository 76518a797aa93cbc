import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { execa } from 'execa';
import { saveSettings, type Settings } from '../settings.js';
import type { Home } from '../home.js';

/** Interface names may have 15 characters. */
export const bridgeName = (home: Home): string => `slip-${home.id}`;

/** Creates the network bridge of the private engine, with a network that nothing on the machine has a route to. */
export async function createBridge(home: Home, settings: Settings): Promise<void> {
  const name = bridgeName(home);
  const present = name in networkInterfaces() || (await linkExists(name));
  if (settings.subnet === null || (!present && !(await isUnused(settings.subnet)))) {
    settings.subnet = await chooseSubnet(home);
    await saveSettings(home, settings);
  }
  if (!present) await execa('ip', ['link', 'add', name, 'type', 'bridge']);
  await execa('ip', ['address', 'replace', `10.213.${settings.subnet}.1/24`, 'dev', name]);
  await execa('ip', ['link', 'set', name, 'up']);
}

/** Deletes bridges and the firewall rules that name them. What is gone is fine. */
export async function deleteBridges(names: string[]): Promise<void> {
  for (const name of new Set(names)) if (await linkExists(name)) await execa('ip', ['link', 'delete', name]);
  for (const table of ['filter', 'nat']) {
    const { stdout, exitCode } = await execa('iptables', ['--wait', '-t', table, '-S'], { reject: false });
    if (exitCode !== 0) continue;
    for (const rule of stdout.split('\n')) {
      const words = rule.split(' ');
      if (words[0] === '-A' && words.some((word) => names.includes(word)))
        await execa('iptables', ['--wait', '-t', table, '-D', ...words.slice(1)], { reject: false });
    }
  }
}

async function linkExists(name: string): Promise<boolean> {
  return (await execa('ip', ['link', 'show', name], { reject: false })).exitCode === 0;
}

async function chooseSubnet(home: Home): Promise<number> {
  const first = parseInt(home.id, 16) % 256;
  for (let step = 0; step < 256; step += 1) {
    const candidate = (first + step) % 256;
    if (await isUnused(candidate)) return candidate;
  }
  throw new Error(
    'choosing a network for the private Docker engine: every 10.213.N.0/24 has a route already',
  );
}

/** No route but the default one may lead to a part of it or to more than it. */
async function isUnused(subnet: number): Promise<boolean> {
  const address = ((10 << 24) | (213 << 16) | (subnet << 8)) >>> 0;
  const routes = (await readFile('/proc/net/route', 'utf8')).trim().split('\n').slice(1);
  return !routes.some((line) => {
    const fields = line.split('\t');
    const [destination, mask] = [littleEndian(fields[1]), littleEndian(fields[7])];
    const common = (mask & 0xff_ff_ff_00) >>> 0;
    return mask !== 0 && (destination & common) >>> 0 === (address & common) >>> 0;
  });
}

const littleEndian = (hex = '0'): number => Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE();
