import { networkInterfaces } from 'node:os';
import { execa } from 'execa';
import { saveSettings, type Settings } from '../settings.js';
import type { Home } from '../home.js';
import { chooseSubnet, isUnused } from '../subnet.js';

/** Interface names may have 15 characters. */
export const bridgeName = (home: Home): string => `slip-${home.id}`;

/** Creates the network bridge of the private engine, with a network that nothing on the machine has a route to. */
export async function createBridge(home: Home, settings: Settings): Promise<void> {
  const name = bridgeName(home);
  const present = name in networkInterfaces() || (await linkExists(name));
  if (settings.subnet === null || (!present && !(await isUnused(213, settings.subnet)))) {
    settings.subnet = await chooseSubnet(213, home);
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
