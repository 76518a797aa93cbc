import { connect } from 'node:net';
import { errors, type buildConnector } from 'undici';

/**
 * Milliseconds for a handshake. The other side's kernel completes it, however busy the model is, within a round trip:
 * 200 ms between continents. This side's kernel would try again after a second, and in vain: which of the pods behind
 * an address a connection leads to is decided once.
 */
const handshake = 250;
/** Milliseconds for finding out the address of a name. */
const lookup = 1_000;

/** Connects as undici does by itself; its own timeouts come up to a second late. */
export const connector: buildConnector.connector = ({ hostname, port }, callback) => {
  const socket = connect({
    host: hostname,
    port: Number(port || 80),
    // Where a name has several addresses, the next one is tried before all is given up.
    autoSelectFamilyAttemptTimeout: handshake - 50,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  });
  const giveUpAfter = (milliseconds: number): NodeJS.Timeout =>
    setTimeout(() => {
      // If it is this process that is late, the answer is there and yet to be read.
      setImmediate(() => {
        if (!socket.connecting) return;
        const message = `${hostname}:${port} does not answer within ${milliseconds} ms`;
        socket.destroy(new errors.ConnectTimeoutError(message));
      });
    }, milliseconds);
  let late = giveUpAfter(lookup);
  const failed = (error: Error): void => {
    clearTimeout(late);
    callback(error, null);
  };
  socket.on('connectionAttempt', () => {
    clearTimeout(late);
    late = giveUpAfter(handshake);
  });
  socket.once('error', failed);
  socket.once('connect', () => {
    clearTimeout(late);
    socket.off('error', failed);
    callback(null, socket);
  });
};
