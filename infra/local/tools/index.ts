import type { Report } from '../report.js';
import { debootstrap } from './debootstrap.js';
import { docker } from './docker.js';
import { kube } from './kube.js';
import { minio } from './minio.js';
import { postgresFolder } from './postgres.js';
import { registry } from './registry.js';
import { temporal } from './temporal.js';
import { getTool, type Tool } from './tool.js';

export const tools = { temporal, minio, registry, docker, debootstrap, kube } as const;

/** Finds or gets each tool, at the first time it is asked for. `postgres` answers a folder, the others a program. */
export type ToolPaths = Record<keyof typeof tools | 'postgres', () => Promise<string>>;

export function toolPaths(report: Report, signal: AbortSignal): ToolPaths {
  const get = (what: string, tool: Tool): (() => Promise<string>) =>
    once(() => getTool(tool, (doing) => report.step(what, doing), signal));
  return {
    temporal: get('temporal', temporal),
    minio: get('minio', minio),
    registry: get('registry', registry),
    docker: get('docker', docker),
    debootstrap: get('base', debootstrap),
    kube: get('kubernetes', kube),
    postgres: once(postgresFolder),
  };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
