import { readFile } from 'node:fs/promises';
import { createSecureContext, rootCertificates } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { messageOf, SlipwayError } from '../contract/errors.js';
import type { TemporalConfig } from '../contract/stack.js';

/** How to connect to Temporal, as the SDK's connections of workers and of clients both take it. */
export type TemporalConnection = {
  address: string;
  tls?: {
    serverRootCACertificate: Buffer;
    clientCertPair?: { crt: Buffer; key: Buffer };
    serverNameOverride?: string;
  };
  apiKey?: string;
};

/**
 * Reads what a connection takes. Throws `NotFound` or `InvalidInput` naming the field and the file, never what is in it.
 */
export async function temporalConnection(config: TemporalConfig): Promise<TemporalConnection> {
  const { address, apiKeyFile } = config;
  // An API key goes over TLS only.
  const tls = config.tls ?? (apiKeyFile ? {} : null);
  return {
    address,
    ...(tls && { tls: await tlsOptions(tls) }),
    ...(apiKeyFile && { apiKey: await apiKey(apiKeyFile) }),
  };
}

async function tlsOptions({
  caFile,
  client,
  serverName,
}: NonNullable<TemporalConfig['tls']>): Promise<NonNullable<TemporalConnection['tls']>> {
  const serverRootCACertificate = caFile ? await authorities(caFile) : await trustedAuthorities();
  return {
    serverRootCACertificate,
    ...(client && { clientCertPair: await clientPair(client) }),
    ...(serverName && { serverNameOverride: serverName }),
  };
}

async function authorities(file: string): Promise<Buffer> {
  const pem = await read('temporal.tls.caFile', file);
  try {
    new X509Certificate(pem);
  } catch (cause) {
    throw new SlipwayError(
      'InvalidInput',
      `temporal.tls.caFile: "${file}" is not a certificate in PEM`,
      {},
      { cause },
    );
  }
  return pem;
}

/** The worker's side of the SDK asks the system, which in slim images trusts nobody; Node.js brings its own list. */
async function trustedAuthorities(): Promise<Buffer> {
  const extra = process.env['NODE_EXTRA_CA_CERTS'];
  const pems = [
    ...rootCertificates,
    ...(extra ? [(await read('NODE_EXTRA_CA_CERTS', extra)).toString()] : []),
  ];
  return Buffer.from(pems.join('\n'));
}

async function clientPair({
  certificateFile,
  keyFile,
}: {
  certificateFile: string;
  keyFile: string;
}): Promise<{ crt: Buffer; key: Buffer }> {
  const crt = await read('temporal.tls.client.certificateFile', certificateFile);
  const key = await read('temporal.tls.client.keyFile', keyFile);
  try {
    createSecureContext({ cert: crt, key });
  } catch (cause) {
    throw new SlipwayError(
      'InvalidInput',
      `temporal.tls.client: "${certificateFile}" and "${keyFile}" are not a certificate and its key in PEM: ${messageOf(cause)}`,
      {},
      { cause },
    );
  }
  return { crt, key };
}

async function apiKey(file: string): Promise<string> {
  const key = (await read('temporal.apiKeyFile', file)).toString().trim();
  // Anything else is no header's value; an error about it would show the key.
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new SlipwayError('InvalidInput', `temporal.apiKeyFile: "${file}" is not one line with a key`);
  return key;
}

async function read(field: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new SlipwayError('NotFound', `${field}: reading "${file}": ${messageOf(cause)}`, {}, { cause });
  }
}
