import type { Command } from 'commander';
import { registerDoctor } from './doctor.js';
import { registerDown } from './down.js';
import { registerUp } from './up.js';

/** The commands about the local stack itself. They need no API. */
export function registerStackCommands(program: Command): void {
  registerUp(program);
  registerDown(program);
  registerDoctor(program);
}
