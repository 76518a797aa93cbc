import { openBerth } from '../kubernetes/node-berth.js';
import { testCluster } from '../support/cluster.js';
import { probeImage } from '../targets/probe.js';
import { inCluster } from './target/in-cluster.js';
import { runsProcesses } from './target/index.js';

const { stack } = await testCluster();

runsProcesses('the target of a Kubernetes cluster with a node', () =>
  inCluster(openBerth, (behaviour) => probeImage(stack, behaviour)),
);
