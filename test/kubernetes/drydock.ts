import { after, before } from 'node:test';
import { FaultWorker, type Faults } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';
import { killComponent, repair } from '../support/harm.js';

/** A harbour with a service that says Hello, where a worker in which faults can be made stands in for the stack's. */
export class Drydock {
  harbour!: Harbour;
  worker!: FaultWorker;
  model!: string;

  private constructor() {}

  /** Called in a `describe`: it is there while its tests run. */
  static here(faults: Faults = {}): Drydock {
    const dock = new Drydock();
    before(async () => {
      dock.harbour = await Harbour.open();
      await killComponent('worker', 'SIGTERM');
      dock.worker = await FaultWorker.start(faults);
      dock.model = await dock.harbour.serving();
    });
    after(async () => {
      await dock.worker?.end('SIGTERM');
      await repair();
      await dock.harbour?.close();
    });
    return dock;
  }
}
