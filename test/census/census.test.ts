import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import postgres from 'postgres';
import type { Stack } from '../../contract/stack.js';
import { census, Census } from '../../platform/census.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { testStack } from '../support/stack.js';
import { probeImage } from '../targets/probe.js';
import { Yard } from '../targets/yard.js';

const shared = await testStack();

describe('a census of real servers', () => {
  const database = `census_${randomBytes(4).toString('hex')}`;
  const sql = postgres(shared.postgres, { max: 1 });
  let yard: Yard;
  let stack: Stack;
  before(async () => {
    await sql.unsafe(`create database ${database}`);
    yard = new Yard(shared);
    const url = new URL(shared.postgres);
    url.pathname = `/${database}`;
    stack = { ...shared, name: yard.name, nodes: yard.nodes, postgres: url.href };
  });
  after(async () => {
    await yard.close();
    await sql.unsafe(`drop database ${database} with (force)`);
    await sql.end();
  });

  const about = async (kind: string) => {
    const taken = Census.parse(JSON.parse(JSON.stringify(await census(stack))));
    // The registry is shared with other tests, whose tags another catalog knows.
    return taken.items.filter((one) => one.kind === kind);
  };

  test('a container is accounted for while its deployment is under way, and afterwards not', async () => {
    const image = await probeImage(stack);
    const set = yard.set(image);
    const catalog = await postgresCatalog(stack.postgres);
    try {
      const deployment = set.grant.deployment;
      const token = await catalog.openGrant('iris', deployment, 0);
      const grant = { service: 'iris', token, deployment };
      const [planned] = yard.target.place(set);
      const { node, name } = planned!;
      const entry = await catalog.recordEffect(grant, {
        kind: 'replica',
        key: name,
        target: 'docker',
        node,
        name,
      });
      await yard.up(set);
      await catalog.completeEffect(entry);
      const [during] = await about('container');
      assert.equal(during!.accounted, true, during!.reason);
      assert.equal((await about('effect'))[0]!.accounted, true);

      await catalog.closeGrant(grant, 'lost');
      assert.equal((await about('effect'))[0]!.accounted, false);
      await catalog.markUndone(entry.id);
      const [later] = await about('container');
      assert.equal(later!.accounted, false);
      await yard.target.remove(planned!, 0);
      assert.deepEqual(await about('container'), []);
    } finally {
      await catalog.close();
    }
  });

  test('a node that is away is told, and the rest counted', async () => {
    const away = { ...stack.nodes[0]!, name: 'ghost', docker: 'unix:///nowhere.sock' };
    const { unaccounted } = await census({ ...stack, nodes: [...stack.nodes, away] });
    const [ghost] = unaccounted.filter(({ kind }) => kind === 'node');
    assert.equal(ghost!.name, 'ghost');
    assert.match(ghost!.why, /on node "ghost"/);
  });
});
