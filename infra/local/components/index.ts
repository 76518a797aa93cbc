import type { Component, ComponentName, componentNames, Local } from './component.js';
import { docker } from './docker.js';
import { kubernetes } from './kubernetes.js';
import { minio } from './minio.js';
import { server, worker } from './node-processes.js';
import { postgres } from './postgres.js';
import { registry } from './registry.js';
import { temporal } from './temporal.js';

export type Components = Record<(typeof componentNames)[number], Component> & { kubernetes?: Component };

/** One of them by name. Throws where the stack does not have it. */
export function componentOf(all: Components, name: ComponentName): Component {
  const component = all[name];
  if (!component) throw new Error(`the stack has no ${name}`);
  return component;
}

/** All servers of a stack whose engine has been chosen. */
export function components(local: Local): Components {
  const { engine } = local.settings;
  if (engine === null) throw new Error('the stack has no Docker engine yet');
  return {
    temporal: temporal(local),
    minio: minio(local),
    registry: registry(local),
    postgres: postgres(local),
    docker: docker(local, engine),
    worker: worker(local),
    server: server(local),
    ...(local.settings.cluster?.kind === 'own' && { kubernetes: kubernetes(local) }),
  };
}
