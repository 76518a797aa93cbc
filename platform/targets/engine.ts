import { Agent } from 'node:http';
import { inspect } from 'node:util';
import type Docker from 'dockerode';

/**
 * Every call on a connection of its own: after an engine restart a kept one would only fail. The client renders all
 * options of every call for a debug line, whether it is wanted or not; an agent and all that hangs on its sockets
 * would take it seconds.
 */
class OneCallAgent extends Agent {
  constructor() {
    super({ keepAlive: false });
  }

  [inspect.custom](): string {
    return 'OneCallAgent';
  }
}

/** How to reach an engine at `unix:///path/docker.sock` or `tcp://host:port`. */
export function engineOptions(address: string): Docker.DockerOptions {
  const agent = new OneCallAgent();
  const path = /^unix:\/\/(?<path>.+)$/.exec(address)?.groups?.['path'];
  // `host` is named so that a DOCKER_HOST in the environment does not win over the socket.
  if (path !== undefined) return options({ socketPath: path, host: undefined, protocol: 'http', agent });
  const { hostname, port } = new URL(address);
  return options({ host: hostname, port: port || 2375, protocol: 'http', agent });
}

/** The client takes an agent, which its types leave out. */
const options = (all: Docker.DockerOptions & { agent: Agent }): Docker.DockerOptions => all;

/** Whether an engine stumbled over another one on the machine that has just made the firewall's chains anew: soon it works. */
export const chainsAreMade = (reason: string): boolean =>
  /Chain already exists|No chain\/target\/match|Chain '[\w-]+' does not exist/i.test(reason);
