import type { Grant, Replica, SampleResult, Verification } from '../contract/pipeline.js';
import { targetOf, type Platform } from '../platform/open.js';
import { assertVerified, judgeSamples } from '../platform/verify/samples.js';
import { attend } from './attend.js';
import { replicaSet, type Candidate } from './rollout.js';

/** Verify: every replica answers every sample as expected and in time, before it gets traffic. */
export const verifyActivities = (platform: Platform) => ({
  verify: (
    grant: Grant,
    candidate: Candidate,
    replicas: Replica[],
  ): Promise<{ verification: Verification; detail: string }> =>
    attend(async (watch) => {
      const set = replicaSet(grant, candidate, 'serve');
      // An engine may have restarted since the rollout; replicas that come back by themselves are waited for.
      await targetOf(platform, candidate.target).awaitReady(set, replicas, watch);
      const samples: SampleResult[] = [];
      for (const { url } of replicas) {
        const results = await judgeSamples(url, candidate.spec.verify, watch);
        assertVerified(results);
        samples.push(...results.map(({ ok, latency }) => ({ ok, latency })));
      }
      return {
        verification: { at: new Date().toISOString(), samples },
        detail: samples.length > 0 ? `${samples.length} samples as expected` : 'ready; no samples to judge',
      };
    }),
});
