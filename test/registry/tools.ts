import { apt } from '../../infra/local/tools/apt.js';
import { goInstall } from '../../infra/local/tools/go.js';
import { findPresent, getTool, type Tool } from '../../infra/local/tools/tool.js';

const get = (tool: Tool): Promise<string> => getTool(tool, () => undefined, AbortSignal.timeout(20 * 60_000));

/** go-containerregistry's `crane`, built once per user. */
export const crane = (): Promise<string> =>
  get({
    name: 'crane',
    // Its `--version` is no flag: what is on PATH cannot be judged.
    commands: [],
    floor: { version: '0', read: /()/ },
    sources: [
      goInstall({
        module: 'github.com/google/go-containerregistry/cmd/crane',
        moduleVersion: 'v0.20.6',
        program: 'crane',
        version: '0.20.6',
      }),
    ],
    advice: 'Install Go.',
  });

export const skopeo = (): Promise<string> =>
  get({
    name: 'skopeo',
    commands: ['skopeo'],
    floor: { version: '1.9', read: /version (\d+\.\d+\.\d+)/ },
    sources: [apt('skopeo')],
    advice: 'Install skopeo.',
  });

/** Distribution 3, which can tell how far a cut upload got, as version 2 can't. */
export const distribution3Tool: Tool = {
  name: 'distribution',
  commands: ['registry'],
  floor: { version: '3', read: /v?(\d+\.\d+\.\d+)\S*\s*$/ },
  sources: [
    goInstall({
      module: 'github.com/distribution/distribution/v3/cmd/registry',
      moduleVersion: 'v3.0.0',
      program: 'registry',
      version: '3.0.0',
    }),
  ],
  advice: '',
};

/** Its path where it was built before the tests (see `prepare-tools.ts`), else null. */
export const distribution3 = (): Promise<string | null> => findPresent(distribution3Tool);
