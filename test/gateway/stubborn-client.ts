import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

/** Asks a replica without a gateway, on connections that it keeps, and never tries again. */
export class StubbornClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  constructor(readonly url: string) {}

  /** One prediction; answers the pod that gave it. */
  async predict(): Promise<string> {
    const asked = request(`${this.url}/predict`, { agent: this.#agent, method: 'POST' });
    asked.end('{"input":1}');
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const body = await text(response);
    if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${body}`);
    return (JSON.parse(body) as { output: string }).output;
  }

  close(): void {
    this.#agent.destroy();
  }
}
