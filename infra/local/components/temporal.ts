import { join } from 'node:path';
import { searchAttributes } from '../../../contract/deployment.js';
import type { Component, Local } from './component.js';
import { listens } from './answers.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

/** The Temporal dev server, persistent in one SQLite file. */
export function temporal({ home, ports, tools, report, signal }: Local): Component {
  const address = `127.0.0.1:${ports.temporal}`;
  const server: ServerProcess = {
    home,
    name: 'temporal',
    report,
    signal,
    budget: 90_000,
    prepare: async () => ({
      command: await tools.temporal(),
      args: [
        ...['server', 'start-dev', '--ip', '127.0.0.1', '--log-level', 'warn'],
        ...['--port', String(ports.temporal), '--ui-port', String(ports.temporalUi)],
        ...['--db-filename', join(home.data, 'temporal.db')],
        ...searchAttributes.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
        ...pragmas.flatMap((pragma) => ['--sqlite-pragma', pragma]),
        ...dynamicConfig.flatMap((value) => ['--dynamic-config-value', value]),
      ],
    }),
    check: async (abort) => {
      // Connecting to a closed port would otherwise be tried again for seconds.
      await listens(ports.temporal, abort);
      // Loaded when there is something to ask: what only stops a stack does without.
      const { Connection } = await import('@temporalio/client');
      const connection = await Connection.connect({ address, connectTimeout: '3s' });
      try {
        await connection.withDeadline(Date.now() + 3_000, () =>
          connection.workflowService.describeNamespace({ namespace: 'default' }),
        );
        const { customAttributes } = await connection.withDeadline(Date.now() + 3_000, () =>
          connection.operatorService.listSearchAttributes({ namespace: 'default' }),
        );
        const missing = searchAttributes.find((name) => !(name in (customAttributes ?? {})));
        if (missing) throw new Error(`search attribute "${missing}" is not registered yet`);
      } finally {
        await connection.close();
      }
    },
  };
  return {
    name: 'temporal',
    url: `http://127.0.0.1:${ports.temporalUi}`,
    ensure: () => ensureProcess(server),
    stop: () => stopServer(server),
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}

/** Twice the throughput of the defaults, and still safe when the process is killed. */
const pragmas = ['journal_mode=WAL', 'synchronous=NORMAL'];

const dynamicConfig = [
  // One shard polls 20 times a second by default: every hop of a lone workflow would wait 50 ms.
  'history.transferProcessorMaxPollRPS=2000',
  'history.timerProcessorMaxPollRPS=2000',
  // Timers, and so retries, would fire up to a second late.
  'history.timerProcessorMaxTimeShift="1ms"',
  'system.enableActivityEagerExecution=true',
];
