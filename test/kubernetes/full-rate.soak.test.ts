// What `npm test` tries beside other tests at a low rate, at a hundred requests a second.
process.env['SLIPWAY_TEST_RATE'] = '100';

await import('./cut-off.test.js');
await import('./cut-short.test.js');
await import('./replies-lost.test.js');
await import('./parts-away.test.js');
await import('./ship.test.js');
await import('./stalled.test.js');
await import('./unready.test.js');
await import('../gateway/pods.test.js');
