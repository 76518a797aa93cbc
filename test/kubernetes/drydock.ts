import { after, before } from 'node:test';
import { FaultWorker, type Faults } from '../support/faults.js';
import { Harbour } from '../support/harbour.js';

/** A harbour with a service that says Hello, shipped by a worker of its own in which faults can be made. */
export class Drydock {
  harbour!: Harbour;
  worker!: FaultWorker;
  model!: string;

  private constructor() {}

  /** Called in a `describe`: it is there while its tests run. */
  static here(faults: Faults = {}): Drydock {
    const dock = new Drydock();
    before(async () => {
      dock.harbour = await Harbour.open({ worker: false });
      await dock.work(faults);
      dock.model = await dock.harbour.serving();
    });
    after(async () => {
      // What it has not tidied up goes with the namespace.
      await dock.worker?.end();
      await dock.harbour?.close();
    });
    return dock;
  }

  /** Starts a worker, where there is none any more. */
  async work(faults: Faults): Promise<void> {
    this.worker = await FaultWorker.start(faults);
  }
}
