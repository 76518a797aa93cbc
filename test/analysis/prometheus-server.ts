import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { Gauge, Registry } from 'prom-client';
import { fromPackage } from '../../infra/local/tools/apt.js';
import { getTool } from '../../infra/local/tools/tool.js';
import { until } from '../support/until.js';
import { serverPort } from '../support/ports.js';

const tool = () =>
  getTool(
    {
      name: 'prometheus',
      commands: ['prometheus'],
      floor: { version: '2.30', read: /version (\d+\.\d+\.\d+)/ },
      sources: [fromPackage('prometheus', 'usr/bin/prometheus')],
      advice: 'Install Prometheus.',
    },
    () => undefined,
    AbortSignal.timeout(20 * 60_000),
  );

const run = (path: string, args: string[]) => execa(path, args, { reject: false, stdio: 'ignore' });

/** A real Prometheus, and the metrics endpoint of a process that it scrapes every second. */
export class Prometheus {
  private process: ReturnType<typeof run> | null = null;

  private constructor(
    readonly url: string,
    /** What is scraped: a value for a release. */
    readonly errors: Gauge<'release'>,
    private readonly metrics: Server,
    private readonly folder: string,
    private readonly path: string,
  ) {}

  /** `also`: another address, as `127.0.0.1:80`, whose `/metrics` it scrapes. */
  static async start(also?: string): Promise<Prometheus> {
    const path = await tool();
    const registry = new Registry();
    const errors = new Gauge({
      name: 'model_errors',
      help: 'made up',
      labelNames: ['release'],
      registers: [registry],
    });
    const metrics = createServer((_request, response) => {
      void registry
        .metrics()
        .then((text) => response.setHeader('content-type', registry.contentType).end(text));
    }).listen(0, '127.0.0.1');
    await once(metrics, 'listening');
    const folder = await mkdtemp(join(tmpdir(), 'slipway-prometheus-'));
    const target = `127.0.0.1:${(metrics.address() as AddressInfo).port}`;
    await writeFile(
      join(folder, 'prometheus.yml'),
      JSON.stringify({
        global: { scrape_interval: '1s' },
        scrape_configs: [
          { job_name: 'models', static_configs: [{ targets: also ? [target, also] : [target] }] },
        ],
      }),
    );
    const url = `http://127.0.0.1:${await serverPort()}`;
    const prometheus = new Prometheus(url, errors, metrics, folder, path);
    await prometheus.resume();
    return prometheus;
  }

  /** Starts it (again), and waits until it answers. */
  async resume(): Promise<void> {
    const { folder, url } = this;
    this.process = run(this.path, [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${new URL(url).host}`,
    ]);
    await until(async () => (await fetch(`${url}/-/ready`).catch(() => null))?.ok || null);
  }

  /** Kills it. */
  async pause(): Promise<void> {
    this.process?.kill('SIGKILL');
    await this.process;
  }

  /** Waits until a query has a result. */
  async knows(query: string): Promise<void> {
    await until(async () => {
      const answer = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(query)}`);
      const { data } = (await answer.json()) as { data: { result: unknown[] } };
      return data.result.length > 0 || null;
    });
  }

  async stop(): Promise<void> {
    await this.pause();
    this.metrics.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
