import { image, openBerth } from '../kubernetes/simulated-berth.js';
import { inCluster } from './target/in-cluster.js';
import { conformsToTarget } from './target/index.js';

conformsToTarget('the target of a Kubernetes cluster', () => inCluster(openBerth, async () => image));
