import type { Home } from '../home.js';
import type { Ports } from '../ports.js';
import type { Report } from '../report.js';
import type { Settings } from '../settings.js';
import type { ToolPaths } from '../tools/index.js';

/** The components of every stack. */
export const componentNames = [
  'temporal',
  'minio',
  'registry',
  'postgres',
  'docker',
  'worker',
  'server',
] as const;
export type ComponentName = (typeof componentNames)[number] | 'kubernetes';

/** The components that a stack with these settings has: a cluster is there only where it was asked for. */
export const enabledComponents = ({ cluster }: Pick<Settings, 'cluster'>): ComponentName[] =>
  cluster?.kind === 'own' ? [...componentNames, 'kubernetes'] : [...componentNames];

/** What components are started with. */
export type Local = {
  home: Home;
  settings: Settings;
  ports: Ports;
  tools: ToolPaths;
  report: Report;
  signal: AbortSignal;
};

/** One server of the stack. */
export interface Component {
  readonly name: ComponentName;
  /** Where people reach it. */
  readonly url: string;
  /** Leaves it alone when it is healthy, otherwise (re)starts it and waits until it is. Answers what was done. */
  ensure(): Promise<'running' | 'started' | 'restarted'>;
  /** Stops it and whatever it left; nothing to stop is fine. */
  stop(): Promise<void>;
  /** What is wrong with it now, or null. */
  problem(): Promise<string | null>;
  /** Its process, or null when none runs (an engine that is not ours has none). */
  pid(): Promise<number | null>;
}
