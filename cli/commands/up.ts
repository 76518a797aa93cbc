import type { Command } from 'commander';
import { componentNames, type ComponentName } from '../../infra/local/components/component.js';
import { findHome, type Home } from '../../infra/local/home.js';
import type { UpResult } from '../../infra/local/up.js';
import { interruptibly } from '../interruptible.js';
import { print, printJson, table } from '../output.js';

type Options = { json?: boolean; kubernetes?: boolean; kubeconfig?: string; clusterRegistry?: string };

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('start the local stack, or repair it; twice changes nothing')
    .option('--kubernetes', 'with a real Kubernetes of one node (or the cluster in $KUBECONFIG); remembered')
    .option('--no-kubernetes', 'without the cluster it had')
    .option('--kubeconfig <file>', 'with the cluster of this file; none is started')
    .option('--cluster-registry <host:port>', "the stack's registry as that cluster's nodes reach it")
    .option('--json', 'print what runs where as JSON')
    .addHelpText(
      'after',
      '\nEverything listens on 127.0.0.1 and is kept in .slipway (or $SLIPWAY_HOME).' +
        '\nPorts are 7800 to 7808 (from $SLIPWAY_PORT_BASE), or others where these are taken.' +
        '\nA Kubernetes node needs root on Linux; it has a network of its own, 10.89.N.0/30.',
    )
    .action(async ({ json, kubernetes, kubeconfig, clusterRegistry }: Options) => {
      // Loaded when asked for: the other commands are not to wait for all that servers need.
      const { up } = await import('../../infra/local/up.js');
      const { report } = await import('../../infra/local/report.js');
      const home = findHome();
      const progress = report();
      try {
        const choice = { kubernetes, kubeconfig, registry: clusterRegistry };
        const result = await interruptibly((signal) => up(home, progress, signal, choice));
        progress.close();
        const components = describe(result);
        const { stack, noCluster, kubectl } = result;
        if (json)
          printJson({
            ...{ home: home.root, stackFile: home.stackFile, components },
            ...{ kubeconfig: stack.kubeconfig, noCluster, kubectl },
          });
        else show(result, components, home);
      } finally {
        progress.close();
      }
    });
}

type Row = { component: string; state: string; url: string };

function describe({ stack, done }: UpResult): Row[] {
  const urls: Record<ComponentName, string> = {
    temporal: stack.temporal.ui,
    minio: stack.s3.endpoint,
    registry: stack.registry.url,
    postgres: stack.postgres.replace(/\/\/.*@/, '//'),
    docker: stack.docker,
    kubernetes: stack.cluster ? `https://${stack.cluster.address}:6443` : '',
    worker: '',
    server: `${stack.gateway} (gateway), ${stack.api} (API)`,
  };
  const names: ComponentName[] = [...componentNames, 'kubernetes'];
  return names.flatMap((component) => {
    const state = done[component];
    return state === undefined ? [] : [{ component, state, url: urls[component] }];
  });
}

function show({ stack, noCluster, kubectl }: UpResult, rows: Row[], home: Home): void {
  print(
    table([
      ['COMPONENT', 'STATE', 'WHERE'],
      ...rows.map(({ component, state, url }) => [component, state, url]),
    ]),
  );
  print();
  print(`Addresses and credentials are in ${home.stackFile}.`);
  if (noCluster !== null) print(`There is no Kubernetes cluster: ${noCluster}. Everything else runs.`);
  if (stack.kubeconfig !== null) {
    print(`Use the cluster with: export KUBECONFIG=${stack.kubeconfig}`);
    if (kubectl !== null) print(`kubectl for it is at ${kubectl}.`);
  }
  if (stack.allowPickle)
    print(
      'Pickle and joblib weights are allowed here: they run the code they contain, so deploy only your own.',
    );
  if (stack.analysis?.allow.length)
    print(`Analyses of deployments may ask a Prometheus at ${stack.analysis.allow.join(', ')} here.`);
  print('Stop it with "slipway down"; its data stays.');
}
