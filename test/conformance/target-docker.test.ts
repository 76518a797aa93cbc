import { testStack } from '../support/stack.js';
import { conformsToTarget, runsProcesses } from './target/index.js';
import { onEngine } from './target/on-engine.js';

const stack = await testStack();

conformsToTarget('the target of Docker engines', () => onEngine(stack));
runsProcesses('the target of Docker engines', () => onEngine(stack));
