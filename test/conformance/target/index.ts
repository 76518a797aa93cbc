import { describe } from 'node:test';
import type { Open } from './opened.js';
import { processes } from './processes.js';
import { replicas } from './replicas.js';

/** What every `Target` promises of replicas as such; nothing has to answer. */
export const conformsToTarget = (name: string, open: Open): unknown =>
  describe(name, () => void replicas(open));

/** What every `Target` promises of the processes in them. */
export const runsProcesses = (name: string, open: Open): unknown =>
  describe(name, () => void processes(open));
