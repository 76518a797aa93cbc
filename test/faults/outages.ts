import { servers, callsOf, stageActivities, type Server } from '../support/stages.js';
import { meeting, type Outage } from './plan.js';

/**
 * All servers at once, then one at a time. The first deployments are past the early stages after a few outages: who is
 * called in those comes soon, or has another deployment begin before it.
 */
export const outages: readonly Outage<Server>[] = [
  { away: servers },
  { away: ['minio'], joined: true },
  { away: ['postgres'], joined: true },
  { away: ['temporal'], joined: true },
  { away: ['registry'] },
  { away: ['docker'] },
  { away: ['server'] },
];

/** What a run must have met: all servers at once in every stage, and each by itself in every stage that calls it. */
export const wanted: readonly string[] = [
  ...stageActivities.map((stage) => meeting(servers, stage)),
  ...stageActivities.flatMap((stage) => callsOf[stage].map((server) => meeting([server], stage))),
];
