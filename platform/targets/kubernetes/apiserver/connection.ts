import { AsyncLocalStorage } from 'node:async_hooks';
import { statSync } from 'node:fs';
import type { Agent, AgentOptions } from 'node:https';
import {
  createConfiguration,
  KubeConfig,
  ServerConfiguration,
  type ApiType,
  type Configuration,
  type RequestContext,
} from '@kubernetes/client-node';
import { messageOf, Refused, SlipwayError } from '../../../../contract/errors.js';
import type { ClusterConfig } from '../../../../contract/stack.js';
import { Requests } from './requests.js';

/** Milliseconds an idle connection is kept for the next request. */
const idleTimeout = 30_000;
/** Milliseconds a request may take that is made outside `ask`. */
const requestTimeout = 60_000;

/** Bounds every request made inside: the clients cannot be given a signal with a call. */
export const bound = new AsyncLocalStorage<AbortSignal>();

/**
 * A kubeconfig, or the pod's own service account, whose clients bound and count their requests and keep connections
 * open between them. A file that was written anew, with a fresh token say, is read again.
 */
export class Connection extends KubeConfig {
  readonly requests = new Requests();
  /** Base URL of the apiserver, for people. */
  readonly host: string;
  #agent: { key: string; agent: Agent } | null = null;
  #read = '';

  constructor(private readonly config: Pick<ClusterConfig, 'kubeconfig' | 'context'>) {
    super();
    this.#load();
    const cluster = this.getCurrentCluster();
    if (!cluster)
      throw new SlipwayError(
        'InvalidInput',
        `kubeconfig ${config.kubeconfig}: context "${this.getCurrentContext()}" names no cluster`,
      );
    this.host = cluster.server;
  }

  /** Who asks, for people: user, context and file, never a credential. */
  get identity(): string {
    if (this.config.kubeconfig === null) return "the pod's service account";
    return `user "${this.getCurrentUser()?.name ?? ''}" of context "${this.getCurrentContext()}" in ${this.config.kubeconfig}`;
  }

  override makeApiClient<T extends ApiType>(api: new (config: Configuration) => T): T {
    const limit = {
      pre: (request: RequestContext) => {
        this.requests.count(request.getHttpMethod(), request.getUrl());
        request.setSignal(bound.getStore() ?? AbortSignal.timeout(requestTimeout));
        return Promise.resolve(request);
      },
      post: <R>(response: R) => Promise.resolve(response),
    };
    return new api(
      createConfiguration({
        baseServer: new ServerConfiguration(this.host, {}),
        authMethods: { default: this },
        promiseMiddleware: [limit],
      }),
    );
  }

  override async applySecurityAuthentication(request: RequestContext): Promise<void> {
    this.#load();
    await super.applySecurityAuthentication(request);
    request.setAgent(this.#reuse(request.getAgent() as Agent));
  }

  /** What watches and logs connect with. */
  override async applyToFetchOptions(
    options: Parameters<KubeConfig['applyToFetchOptions']>[0],
  ): ReturnType<KubeConfig['applyToFetchOptions']> {
    this.#load();
    const init = await super.applyToFetchOptions(options);
    return { ...init, agent: this.#reuse(init.agent as Agent) };
  }

  /** The client makes an agent for every request, and with it a connection and a TLS handshake. */
  #reuse(agent: Agent): Agent {
    const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized }: AgentOptions = agent.options;
    const identity = JSON.stringify([ca, cert, key, pfx, passphrase, servername, rejectUnauthorized]);
    if (this.#agent?.key === identity) return this.#agent.agent;
    Object.assign(agent, { keepAlive: true });
    Object.assign(agent.options, { keepAlive: true, timeout: idleTimeout });
    this.#agent = { key: identity, agent };
    return agent;
  }

  #load(): void {
    const { kubeconfig, context } = this.config;
    try {
      if (kubeconfig === null) {
        // Its token file is read by the client itself.
        if (this.#read === '') this.loadFromCluster();
        this.#read = 'pod';
        return;
      }
      const { mtimeMs, size, ino } = statSync(kubeconfig);
      const version = `${mtimeMs}/${size}/${ino}`;
      if (version === this.#read) return;
      this.loadFromFile(kubeconfig);
      if (context !== undefined) this.setCurrentContext(context);
      this.#read = version;
    } catch (cause) {
      // Parsers quote what they read: not in this text.
      throw new Refused('InvalidInput', `kubeconfig ${kubeconfig}: ${unreadable(cause)}`);
    }
  }
}

/** Why a kubeconfig cannot be read, without a line of it. */
function unreadable(cause: unknown): string {
  if ((cause as NodeJS.ErrnoException).code !== undefined) return messageOf(cause);
  const { reason, mark } = cause as { reason?: string; mark?: { line: number } };
  return reason === undefined
    ? 'is not a kubeconfig'
    : `is not YAML: ${reason} in line ${(mark?.line ?? 0) + 1}`;
}
