import { connect } from 'node:tls';
import type { TemporalConfig } from '../contract/stack.js';
import { temporalConnection, type TemporalConnection } from './temporal.js';

/** What an HTTP/2 client begins with: its preface, and settings that set nothing. */
const hello = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');

/**
 * Why Temporal cannot be connected to, as far as TLS is to blame, and what to configure. Null when it is not, or when
 * that is not known within `budget` milliseconds. The SDK's client does not say: it tries until its time is up.
 */
export async function temporalFault(config: TemporalConfig, budget = 2_000): Promise<string | null> {
  const { address, tls } = await temporalConnection(config);
  const { code, message, encrypted } = await handshake(address, tls, budget);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return tls ? 'it does not speak TLS: leave out temporal.tls and temporal.apiKeyFile' : null;
  const refused = code.includes('_ALERT_');
  if (!tls) return encrypted || refused ? 'it speaks TLS: configure temporal.tls' : null;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is for another name (${message}): configure temporal.tls.serverName if it is the right server`;
  const shown = config.tls?.client?.certificateFile;
  if (refused && shown)
    return `it refuses the certificate in "${shown}": is it valid, and its authority one that the server trusts?`;
  if (refused) return 'it wants a client certificate: configure temporal.tls.client';
  if (shown && (code === 'closed' || code === 'ECONNRESET'))
    return `it ends the connection, as servers do that refuse a certificate: is the one in "${shown}" valid, and its authority trusted there?`;
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired';
  // The other codes of OpenSSL's verification. https://nodejs.org/api/tls.html#x509-certificate-error-codes
  if (/CERT|SIGNATURE|CRL/.test(code) && !code.startsWith('ERR_'))
    return (
      `its certificate is not trusted (${message}): ` +
      `configure temporal.tls.caFile${config.tls?.caFile ? `, which is "${config.tls.caFile}", with its authority` : ''}`
    );
  return null;
}

type Met = { code: string; message: string; encrypted: boolean };

/** Connects as the SDK would; whatever comes first: an answer, an error, the end of the connection or of the time. */
function handshake(address: string, tls: TemporalConnection['tls'], budget: number): Promise<Met> {
  const { hostname, port } = new URL(`https://${address}`);
  return new Promise((resolve) => {
    let encrypted = false;
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 443),
      ALPNProtocols: ['h2'],
      ...(tls
        ? { ca: tls.serverRootCACertificate, cert: tls.clientCertPair?.crt, key: tls.clientCertPair?.key }
        : { rejectUnauthorized: false }),
      ...(tls?.serverNameOverride && { servername: tls.serverNameOverride }),
    });
    const met = (code: string, message = '') => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ code, message, encrypted });
    };
    const timer = setTimeout(() => met('late'), budget);
    socket.on('secureConnect', () => {
      encrypted = true;
      // Only now is it seen whether the server takes the client's certificate: by its first answer.
      socket.write(hello);
    });
    socket.on('data', () => met('answered'));
    socket.on('error', (error: NodeJS.ErrnoException) => met(error.code ?? '', error.message));
    socket.on('close', () => met('closed'));
  });
}
