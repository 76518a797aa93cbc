import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { turns } from '../../activities/turns.js';

const never = new AbortController().signal;

describe('builds wait for their turn', () => {
  test('so many at once, of one key one at a time', async () => {
    const inTurn = turns(2);
    let running: string[] = [];
    let most = 0;
    const work = (key: string) => () =>
      inTurn(key, never, async () => {
        assert.ok(!running.includes(key), 'none of them twice');
        running.push(key);
        most = Math.max(most, running.length);
        await delay(20);
        running = running.filter((it) => it !== key);
      });
    await Promise.all(['a', 'a', 'b', 'c', 'a', 'b'].map((key) => work(key)()));
    assert.equal(most, 2);
  });

  test('and are let go at once when they are cancelled while waiting', async () => {
    const inTurn = turns(1);
    let end = (): void => undefined;
    const first = inTurn('a', never, () => new Promise<void>((done) => (end = done)));
    const stop = new AbortController();
    let began = false;
    const begin = (): Promise<void> => Promise.resolve(void (began = true));
    const waiting = [inTurn('a', stop.signal, begin), inTurn('b', stop.signal, begin)];
    stop.abort(new Error('cancelled'));
    for (const one of waiting) await assert.rejects(one, /cancelled/);
    end();
    await first;
    await inTurn('a', never, () => Promise.resolve());
    assert.equal(began, false);
  });

  test('but are waited for when they have begun', async () => {
    const inTurn = turns(1);
    const stop = new AbortController();
    let cleaned = false;
    const work = inTurn('a', stop.signal, async () => {
      await delay(50);
      cleaned = true;
      throw new Error('stopped');
    });
    await delay(5);
    stop.abort(new Error('cancelled'));
    await assert.rejects(work, /stopped/);
    assert.ok(cleaned);
  });
});
