import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Component, Local } from './component.js';
import { answers } from './answers.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

export const bucket = 'models';

/** MinIO on one folder, with a versioned bucket: a deployment pins the version it reads. */
export function minio({ home, ports, settings, tools, report, signal }: Local): Component {
  const { accessKey, secretKey } = settings.secrets.s3;
  const folder = join(home.data, 'minio');
  // It makes a folder in its user's home, and certificates in there would turn on TLS.
  const own = join(home.run, 'minio');
  const server: ServerProcess = {
    home,
    name: 'minio',
    report,
    signal,
    budget: 60_000,
    prepare: async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await mkdir(own, { recursive: true, mode: 0o700 });
      return {
        command: await tools.minio(),
        args: [
          ...['server', folder, '--address', `127.0.0.1:${ports.s3}`, '--quiet'],
          ...['--console-address', `127.0.0.1:${ports.s3Console}`],
        ],
        env: {
          HOME: own,
          MINIO_ROOT_USER: accessKey,
          MINIO_ROOT_PASSWORD: secretKey,
          // It would ask its makers' server for a newer version.
          MINIO_UPDATE: 'off',
          MINIO_CALLHOME_ENABLE: 'off',
        },
      };
    },
    check: (abort) => answers(`http://127.0.0.1:${ports.s3}/minio/health/ready`, [200], abort),
  };
  return {
    name: 'minio',
    url: `http://127.0.0.1:${ports.s3Console}`,
    async ensure() {
      const done = await ensureProcess(server);
      const { ensureBucket } = await import('../../../platform/storage/connection.js');
      await ensureBucket({ endpoint: `http://127.0.0.1:${ports.s3}`, accessKey, secretKey, bucket }, signal);
      return done;
    },
    stop: () => stopServer(server),
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}
