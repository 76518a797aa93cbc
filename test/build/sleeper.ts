import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

/**
 * A source package that pip has to build, and that runs this Python code when it does. It needs no other package,
 * so that no index is asked.
 */
export async function packageThatRuns(code: string): Promise<Buffer> {
  const archive = pack();
  const files = {
    'pyproject.toml':
      '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "sleeper"\nversion = "1.0"\n',
    'PKG-INFO': 'Metadata-Version: 2.1\nName: sleeper\nVersion: 1.0\n',
    'backend.py': `def build_wheel(*args, **kwargs):\n${code.replace(/^/gm, '    ')}\n    raise SystemExit("done running")\n`,
  };
  for (const [name, content] of Object.entries(files))
    archive.entry({ name: `sleeper-1.0/${name}` }, content);
  archive.finalize();
  return gzipSync(await buffer(archive));
}

/** A greeter whose build runs this Python code. */
export const sourceThatRuns = async (code: string): Promise<Record<string, string | Buffer>> => ({
  'k8s_api_model.py':
    'class k8s_api_model:\n  load = lambda self, path: 1\n  predict = lambda self, s, i: i\n',
  'requirements.txt': './sleeper-1.0.tar.gz\n',
  'sleeper-1.0.tar.gz': await packageThatRuns(code),
});
