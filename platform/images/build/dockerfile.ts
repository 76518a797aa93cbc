import { serving } from '../../../contract/serving.js';

/** Grows when the same files become a different image; part of the source image's key. */
export const formatVersion = 1;

/** What the Dockerfile depends on besides files. */
export type ImagePlan = {
  /** Local name of the base image. */
  base: string;
  model: string;
  recipe: string;
  load?: string | undefined;
  /** The model has requirements of its own. */
  requirements: boolean;
};

/** User that serves; a number, so that it can be told not to be root without a look into `/etc/passwd`. */
const user = 10001;

/**
 * The Dockerfile of a source image: base, the server's requirements, the model's, the server, the source, from what
 * seldom changes to what often does. Certificates, index and scripts are mounted for the step that needs them:
 * they are in no layer. `/mnt` and `/media` are in every base image, so that mounting leaves nothing behind.
 */
export function dockerfile({ base, model, recipe, load, requirements }: ImagePlan): string {
  const install = (part: string, cache: string): string =>
    [
      `RUN --mount=type=bind,source=.slipway-build/${part},target=/mnt`,
      `--mount=type=cache,id=slipway-pip-${cache},target=/media`,
      'sh /mnt/install.sh',
    ].join(' ');
  return [
    `FROM ${base}`,
    install('server', 'server'),
    // What one model's requirements put into a cache must never reach another's build.
    ...(requirements ? [install('model', `model-${model}`)] : []),
    'COPY runtime/ /opt/slipway/runtime/',
    `COPY source/ ${serving.sourcePath}/`,
    `ENV PATH=/opt/slipway/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    'ENV PYTHONPATH=/opt/slipway/runtime PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1',
    // Libraries ask for the user's name and home, which a bare number does not have.
    'ENV HOME=/tmp USER=slipway LOGNAME=slipway',
    `ENV MODEL_NAME=${model} MODEL_TYPE=${recipe} SLIPWAY_PORT=8000`,
    ...(load === undefined ? [] : [`ENV SLIPWAY_LOAD=${quoted(load)}`]),
    `WORKDIR ${serving.sourcePath}`,
    `USER ${user}:${user}`,
    'EXPOSE 8000',
    'STOPSIGNAL SIGTERM',
    'ENTRYPOINT ["/opt/slipway/venv/bin/python", "-m", "slipway_runtime"]',
    '',
  ].join('\n');
}

/** https://docs.docker.com/reference/dockerfile/#environment-replacement */
const quoted = (text: string): string => `"${text.replace(/[\\"$]/g, '\\$&')}"`;
