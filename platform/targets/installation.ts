import { milliseconds } from '../../contract/quantities.js';
import type { Stack } from '../../contract/stack.js';

/** What holds for every target of an installation. */
export const installationOf = (stack: Stack) => ({
  /** Its name, in labels. */
  stack: stack.name,
  /** For nodes' pulls. */
  credentials: stack.registry.pull ?? stack.registry,
  allowPickle: stack.allowPickle,
  /** Milliseconds that requests in flight may take once their replica ends. */
  drain: milliseconds(stack.drain),
});
