#!/usr/bin/env node
// Runs straight from a clone: installs and compiles what is missing, then hands over to the CLI.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`slipway needs Node 20.19 or newer; this is ${process.version}. See https://nodejs.org/`);
  process.exit(1);
}
const { bootstrap } = await import('../scripts/bootstrap.mjs');
await bootstrap();
await import('../dist/cli/main.js');
