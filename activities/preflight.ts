import type { Grant } from '../contract/pipeline.js';
import type { Strategy } from '../contract/strategy.js';
import type { Platform } from '../platform/open.js';
import { admitRollout, type Candidate } from '../platform/preflight.js';
import { attend } from './attend.js';

/** Preflight: what can be known to fail is refused before anything is built, what may is told. */
export const preflightActivities = (platform: Platform) => ({
  /** Answers warnings for people. */
  admit: (grant: Grant, candidate: Candidate, strategy: Strategy): Promise<string[]> =>
    attend((watch) => admitRollout(platform, grant, candidate, strategy, watch)),
});
