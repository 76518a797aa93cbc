import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** User and group that own nothing, on every Linux; PostgreSQL runs as them when we are root. */
export const nobody = 65_534;

export type Folders = {
  /** With `bin/`, `lib/`, `share/`. */
  program: string;
  data: string;
};

/**
 * How to run one of PostgreSQL's programs, which refuse to run as root. As root they run as `nobody`, so that
 * no user has to be created and left behind. The folders may lie where nobody may go (below /root, in a
 * folder of mode 0700): they are mounted where it may, in a mount namespace that ends with the process.
 */
export function unprivileged(
  folders: Folders,
  program: 'postgres' | 'initdb',
  argsFor: (folders: Folders) => string[],
): { command: string; args: string[]; env: NodeJS.ProcessEnv } {
  // Messages in the server's log are searched and shown: in one language, and without locales to install.
  const env = { LC_ALL: 'C', LANG: 'C' };
  if (process.getuid?.() !== 0)
    return { command: join(folders.program, 'bin', program), args: argsFor(folders), env };
  const point = mountPoint(folders);
  const inside: Folders = { program: join(point, 'program'), data: join(point, 'data') };
  return {
    command: 'unshare',
    args: [
      ...['--mount', 'sh', '-euc', mountScript, 'sh', point, folders.program, folders.data],
      ...['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--no-new-privs'],
      ...[join(inside.program, 'bin', program), ...argsFor(inside)],
    ],
    env,
  };
}

/** Mounts $2 and $3 below $1 and becomes the rest of its arguments. */
const mountScript = `
point=$1; program=$2; data=$3; shift 3
mount -t tmpfs -o mode=0755,size=64k slipway "$point"
mkdir "$point/program" "$point/data"
mount --bind "$program" "$point/program"
mount --bind "$data" "$point/data"
cd /
exec "$@"`;

/** An existing folder that neither folder lies in, as it is covered. */
function mountPoint({ program, data }: Folders): string {
  const free = ['/mnt', '/media', '/srv', '/opt', '/tmp'].find(
    (path) => existsSync(path) && ![program, data].some((folder) => folder.startsWith(`${path}/`)),
  );
  if (free === undefined) throw new Error('running PostgreSQL as root: no folder to mount it at');
  return free;
}
