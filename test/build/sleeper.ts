import { readdir, readFile } from 'node:fs/promises';
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

/** Python code, for the end of such a package's, by which its build succeeds: a wheel with nothing in it. */
export const emptyWheel = `
import os, zipfile
name = "sleeper-1.0-py3-none-any.whl"
with zipfile.ZipFile(os.path.join(args[0], name), "w") as wheel:
    about = "sleeper-1.0.dist-info/"
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: sleeper\\nVersion: 1.0\\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(about + "RECORD", "")
return name
`;

/** A greeter whose build runs this Python code. */
export const sourceThatRuns = async (code: string): Promise<Record<string, string | Buffer>> => ({
  'k8s_api_model.py':
    'class k8s_api_model:\n  load = lambda self, path: 1\n  predict = lambda self, s, i: i\n',
  'requirements.txt': './sleeper-1.0.tar.gz\n',
  'sleeper-1.0.tar.gz': await packageThatRuns(code),
});

let sleeps = 0;
/** A number of seconds, most of an hour, that no other process has in its command line. */
export const uniqueSeconds = (): string => `31${process.pid}.${Date.now() % 1e6}${(sleeps += 1)}`;

/** Python code that sleeps so long in a process of its own, and goes on when that is killed. */
export const sleepFor = (seconds: string): string =>
  `import subprocess; subprocess.run(["sleep", "${seconds}"])`;

/** Numbers of the processes that sleep so long: steps of a build are processes of this machine. */
export async function sleepers(seconds: string): Promise<number[]> {
  const found = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command === `sleep\0${seconds}\0`) found.push(Number(pid));
  }
  return found;
}
