import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const cli = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

export type Answer = { exitCode: number | undefined; stdout: string; stderr: string };

/** Runs `slipway` as a person would, in the environment of the test run changed by `env`. */
export async function slipway(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Answer> {
  const { exitCode, stdout, stderr } = await execa(process.execPath, ['--enable-source-maps', cli, ...args], {
    env,
    reject: false,
    stdin: 'ignore',
  });
  return { exitCode, stdout, stderr };
}

/** `slipway up`, which has to succeed; answers the state of every component. */
export async function up(env: NodeJS.ProcessEnv = {}): Promise<Record<string, string>> {
  const { exitCode, stdout, stderr } = await slipway(['up', '--json'], env);
  if (exitCode !== 0) throw new Error(`slipway up: status ${exitCode}\n${stderr}`);
  const { components } = JSON.parse(stdout) as { components: { component: string; state: string }[] };
  return Object.fromEntries(components.map(({ component, state }) => [component, state]));
}
