import { DefaultLogger, Runtime } from '@temporalio/worker';

/** Imported for its effect: workers in tests that fail on purpose would bury the tests' own output. */
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
});
