import { join } from 'node:path';
import { z } from 'zod';
import type { Home } from '../home.js';

/** What the process that keeps the node is told, as JSON in a file. */
export const ClusterNode = z.object({
  /** Who owns its processes: `<stack name>/kubernetes`. */
  owner: z.string(),
  /** Data that survives: etcd, images, keys, the kubelet's. */
  data: z.string(),
  /** Sockets and state that end with the node. */
  runtime: z.string(),
  logs: z.string(),
  /** Folder of the programs, one link for each. */
  programs: z.string(),
  /** Folder of the CNI plugins. */
  plugins: z.string(),
  /** The machine's end of the link to the node, and its address. */
  link: z.string(),
  machine: z.string(),
  /** Address of the node: of the API server and of NodePorts. */
  address: z.string(),
  /** Parent of all pods' control groups. */
  cgroup: z.string(),
  /** Administrator's bearer token. */
  token: z.string(),
  /** Port of the registry, on the machine's loopback and, for the node, on `machine`. */
  registry: z.number().int(),
});
export type ClusterNode = z.infer<typeof ClusterNode>;

/** The only node's name. */
export const nodeName = 'local';

/** Second number of the networks between machines and nodes, 10.89.N.0/30. */
export const nodeNetwork = 89;

/** Names of a stack's node that the machine knows it by. */
export const nodeNames = (home: Home): { link: string; cgroup: string } => ({
  // Interface names may have 15 characters.
  link: `slik-${home.id}`,
  cgroup: `slipway-${home.id}`,
});

export const addressesOf = (subnet: number): { machine: string; address: string } => ({
  machine: `10.${nodeNetwork}.${subnet}.1`,
  address: `10.${nodeNetwork}.${subnet}.2`,
});

export const nodeData = (home: Home): string => join(home.data, 'kubernetes');

/** The kubelet's folder as the node sees it: a mount of the one in its data. */
export const kubeletRoot = (runtime: string): string => join(runtime, 'kubelet');

/** While this file is there, the part is not started again: how a test keeps one away for a time. */
export const holdFile = (runtime: string, part: string): string => join(runtime, `hold-${part}`);
