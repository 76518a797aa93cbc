import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Slipway } from './slipway.js';

const commands = [
  ['upload'],
  ['plan'],
  ['deploy'],
  ['deployments'],
  ['status'],
  ['logs'],
  ['approve'],
  ['reject'],
  ['pause'],
  ['resume'],
  ['cancel'],
  ['rollback'],
  ['predict'],
  ['service', 'list'],
  ['service', 'status'],
  ['service', 'audit'],
  ['installation', 'create'],
  ['installation', 'list'],
];

describe('help', () => {
  test('of the program names every command, the exit statuses and the environment', async () => {
    const { status, stdout, stderr } = await Slipway.run(['--help']);
    assert.equal(status, 0);
    assert.equal(stderr, '');
    for (const name of ['up', 'down', 'doctor', ...commands.map(([first]) => first)])
      assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
    assert.match(stdout, /Exit status: 0 done, 1 failed, 2 called wrongly/);
    assert.match(stdout, /SLIPWAY_API/);
  });

  for (const command of commands)
    test(`of "${command.join(' ')}" has an example and says what --json does`, async () => {
      const { status, stdout } = await Slipway.run([...command, '--help']);
      assert.equal(status, 0);
      assert.match(stdout, new RegExp(`Example:\\n {2}slipway ${command.join(' ')}`));
      assert.match(stdout, /--json +\S/);
    });
});
