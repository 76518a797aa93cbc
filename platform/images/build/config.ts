import { readFile } from 'node:fs/promises';
import { SlipwayError } from '../../../contract/errors.js';
import type { BuildConfig } from '../../../contract/stack.js';

/**
 * Files for the steps that install: certificate authorities, pip's configuration. They are mounted for these steps
 * and in no layer. Throws `InvalidInput` when the bundle that is configured cannot be read or is none.
 */
export async function configFiles({ caBundle, pipIndex }: BuildConfig): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  if (caBundle !== undefined) files.set('ca.pem', await readBundle(caBundle));
  if (pipIndex !== undefined)
    files.set('pip.conf', Buffer.from(`[global]\nindex-url = ${oneLine(pipIndex)}\n`));
  return files;
}

async function readBundle(path: string): Promise<Buffer> {
  const doing = `reading the certificate authorities for builds, "${path}"`;
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new SlipwayError('InvalidInput', `${doing}: cannot be read`, {}, { cause });
  }
  if (!bytes.includes('-----BEGIN CERTIFICATE-----'))
    throw new SlipwayError('InvalidInput', `${doing}: has no PEM certificate`);
  return bytes;
}

/** A line break would begin another setting. pip reads `%` as it stands. */
function oneLine(value: string): string {
  if (/[\r\n]/.test(value))
    throw new SlipwayError('InvalidInput', 'configuring builds: pipIndex has a line break');
  return value;
}
