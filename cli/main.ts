import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { registerDeploy } from './commands/deploy.js';
import { registerDeployments } from './commands/deployments.js';
import { registerInstallation } from './commands/installation.js';
import { registerLogs } from './commands/logs.js';
import { registerPlan } from './commands/plan.js';
import { registerPredict } from './commands/predict.js';
import { registerRollback } from './commands/rollback.js';
import { registerService } from './commands/service.js';
import { registerStackCommands } from './commands/stack.js';
import { registerStatus } from './commands/status.js';
import { registerSteer } from './commands/steer.js';
import { registerUpload } from './commands/upload.js';
import { tellFailure } from './failure.js';

// Compiled, this file is in dist/cli/.
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('slipway')
  .version(version)
  .description('Ships machine-learning models durably: from a zip to a verified endpoint, or back.')
  .addHelpText(
    'after',
    `
Exit status: 0 done, 1 failed, 2 called wrongly, 130 interrupted (a deployment goes on).
Environment: SLIPWAY_HOME or SLIPWAY_STACK say where the stack is (default: .slipway);
             SLIPWAY_API and SLIPWAY_TOKEN reach one elsewhere; NO_COLOR.

Example:
  slipway up
  slipway upload iris --source source.zip --weights weights.zip
  slipway deploy iris
  slipway predict iris --input '[[5.1,3.5,1.4,0.2]]'`,
  );
for (const register of [
  registerStackCommands,
  registerInstallation,
  registerUpload,
  registerPlan,
  registerDeploy,
  registerDeployments,
  registerStatus,
  registerLogs,
  registerSteer,
  registerRollback,
  registerPredict,
  registerService,
])
  register(program);
overrideExits(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = tellFailure(error, process.argv.includes('--json'));
}

/** Commander ends the process on wrong usage with status 1; here that is 2. */
function overrideExits(command: Command): void {
  command.exitOverride().showHelpAfterError('(--help says more)');
  for (const sub of command.commands) overrideExits(sub);
}
