import { labels } from '../../../contract/serving.js';
import { messageOf } from '../../../contract/errors.js';
import { askEngine, type Engine } from '../engine.js';
import { privateEngine } from './docker-private.js';
import { startStopped, stopContainers } from './docker-containers.js';
import type { Component, Local } from './component.js';

/** The Docker engine of the stack: one that was there, or a private one. */
export function docker(local: Local, engine: Engine): Component {
  const { home } = local;
  const ours = { label: [`${labels.stack}=${home.name}`] };
  if (engine.kind === 'private') {
    const own = privateEngine(local, engine.docker);
    return {
      ...own,
      async ensure() {
        const done = await own.ensure();
        await startStopped(engine.docker, home);
        return done;
      },
    };
  }
  return {
    name: 'docker',
    url: engine.docker,
    async ensure() {
      try {
        await askEngine(engine.docker);
      } catch (cause) {
        throw new Error(
          `asking the Docker engine at "${engine.docker}", which this stack's containers are on: ${messageOf(cause)}. ` +
            'Start it, or give this stack up with "slipway down --purge".',
          { cause },
        );
      }
      await startStopped(engine.docker, home);
      return 'running';
    },
    stop: () => stopContainers(engine.docker, home, ours),
    async problem() {
      try {
        await askEngine(engine.docker);
        return null;
      } catch (error) {
        return messageOf(error);
      }
    },
    pid: () => Promise.resolve(null),
  };
}
