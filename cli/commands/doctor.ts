import type { Command } from 'commander';
import type { Check } from '../../infra/local/doctor.js';
import { findHome, type Home } from '../../infra/local/home.js';
import type { Census } from '../../platform/census.js';
import { loadStack } from '../../platform/stack.js';
import { paint, print, printJson, table } from '../output.js';

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'look at what the local stack needs and has, and say what to do; exit status 1 if something is wrong',
    )
    .option(
      '--census',
      'count containers, images, tags, records and routes, and show what nothing accounts for',
    )
    .option('--json', 'print the findings as JSON')
    .action(async ({ census: counted, json }: { census?: boolean; json?: boolean }) => {
      const { examine } = await import('../../infra/local/doctor.js');
      const home = findHome();
      const checks = await examine(home);
      const count = counted ? await countAll(home) : null;
      if (json) printJson({ checks, ...(count && { census: count }) });
      else {
        show(checks);
        if (count) showCensus(count);
      }
      if (checks.some(({ ok }) => ok === false) || (count?.unaccounted.length ?? 0) > 0) process.exitCode = 1;
    });
}

async function countAll(home: Home): Promise<Census> {
  const { census } = await import('../../platform/census.js');
  return await census(await loadStack(home.stackFile));
}

function show(checks: Check[]): void {
  const mark = (ok: Check['ok']): string =>
    ok === null ? '·' : ok ? paint('green', '✓') : paint('red', '✗');
  const width = Math.max(...checks.map(({ check }) => check.length));
  for (const { check, ok, found, advice } of checks) {
    print(`${mark(ok)} ${check.padEnd(width)}  ${found}`);
    if (ok === false && advice) print(`  ${' '.repeat(width)}  → ${advice}`);
  }
}

function showCensus({ items, unaccounted }: Census): void {
  print();
  print(`Census: ${items.length} things, ${unaccounted.length} of them unaccounted for`);
  if (unaccounted.length > 0)
    print(table([['KIND', 'NAME', 'WHY'], ...unaccounted.map(({ kind, name, why }) => [kind, name, why])]));
}
