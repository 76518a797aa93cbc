import pLimit from 'p-limit';
import { messageOf } from '../../contract/errors.js';
import { whyNoCluster } from '../../infra/local/cluster.js';
import { helm } from '../../infra/local/tools/helm.js';
import { tools } from '../../infra/local/tools/index.js';
import { kwok } from '../../infra/local/tools/kwok.js';
import { getTool, type Tool } from '../../infra/local/tools/tool.js';
import { distribution3Tool } from '../registry/tools.js';
import { testServer } from './temporal-test-server.js';

// Gets the tools that take minutes to build, before the tests: those have time limits, and what they do is not seen.
// What cannot be got is told here, and fails the tests that need it.
const clusters: Tool[] = (await whyNoCluster()) === null ? [tools.kube, kwok, helm] : [];
// What every stack waits for comes first: one without a cluster is up, and tested on, while the others are made.
const wanted: Tool[] = [tools.temporal, tools.minio, ...clusters, distribution3Tool, testServer];
// Each build uses all processors and much memory.
const turn = pLimit(2);
await Promise.all(wanted.map((tool) => turn(() => prepare(tool))));

async function prepare(tool: Tool): Promise<void> {
  const say = (doing: string): void => console.log(`${tool.name.padEnd(20)} ${doing}`);
  let told = 0;
  const sayAtTimes = (doing: string): void => {
    if (Date.now() - told < 10_000) return;
    told = Date.now();
    say(doing);
  };
  try {
    say(await getTool(tool, sayAtTimes, AbortSignal.timeout(40 * 60_000)));
  } catch (error) {
    say(messageOf(error));
  }
}
