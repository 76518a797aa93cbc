// The process that keeps a stack's Kubernetes node: `main.js NODE.json`.
import { readFile } from 'node:fs/promises';
import { keepNode } from './keeper.js';
import { ClusterNode } from './node.js';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: main.js NODE.json');
const node = ClusterNode.parse(JSON.parse(await readFile(file, 'utf8')));
const stopped = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopped.abort());
await keepNode(node, stopped.signal);
