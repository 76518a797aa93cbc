import { pino } from 'pino';
import { loadStack } from '../platform/stack.js';
import { openContext } from './context.js';
import { startGateway } from './gateway/index.js';
import { createApi } from './server.js';

/** The API and the gateway, each on its own address, in one process. Both start whatever else is away. */
const stack = await loadStack();
const logger = pino({ redact: ['*.headers.authorization', '*.token', '*.password', '*.secretKey'] });
const context = await openContext(stack, logger);

const gateway = await startGateway({
  catalog: async () => (await context.platform()).catalog,
  listen: listenOn('gateway'),
  stateFolder: stack.state,
  logger,
});
const api = createApi(context);
await api.listen(listenOn('api'));
logger.info({ api: stack.api, gateway: stack.gateway }, 'listening');

let closing: Promise<void> | null = null;
const close = async (): Promise<void> => {
  logger.info('closing');
  await api.close();
  await gateway.close();
  await context.close();
};
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void (closing ??= close()));

function listenOn(name: 'api' | 'gateway'): { host: string; port: number } {
  if (stack.listen) return { host: stack.listen.host, port: stack.listen[name] };
  const { hostname, port } = new URL(stack[name]);
  return { host: hostname, port: Number(port) };
}
