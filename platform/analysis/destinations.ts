import { lookup } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';

/** A URL that came with a deployment leads to where this installation lets none go. */
export class Forbidden extends Error {}

/** What hosts and clouds keep for those who run on them, by kind. Private networks are not among it. */
const kept = new Map<string, BlockList>([
  ['unspecified', list('0.0.0.0/8', '::/128')],
  ['loopback', list('127.0.0.0/8', '::1/128', '64:ff9b::7f00:0/104')],
  ['link-local', list('169.254.0.0/16', 'fe80::/10', '64:ff9b::a9fe:0/112')],
  ['multicast or reserved', list('224.0.0.0/3', 'ff00::/8')],
  // AWS, Oracle, Alibaba and Azure serve a machine's credentials and settings outside of link-local addresses as well.
  [
    'metadata',
    list('fd00:ec2::254/128', 'fd00:ec2::23/128', '192.0.0.192/32', '100.100.100.200/32', '168.63.129.16/32'),
  ],
]);

/**
 * Connects to where URLs of deployments lead, unless that is the worker's own machine, its link or its cloud's metadata
 * and not in `allow`: origins, addresses and ranges. Names are looked up once, and what was looked at is what is
 * connected to. A connection refused so fails with {@link Forbidden}.
 */
export function guarded(allow: readonly string[]): Dispatcher {
  const origins = new Set(
    allow.filter((entry) => entry.includes('//')).map((entry) => new URL(entry).origin),
  );
  const addresses = list(...allow.filter((entry) => !entry.includes('//')));
  const refusal = (host: string, address: string): Forbidden | null => {
    const kind = holds(addresses, address) ? undefined : kindOf(address);
    if (kind === undefined) return null;
    const named = host === address ? `${host} is` : `"${host}" is ${address},`;
    return new Forbidden(
      `${named} a ${kind} address: "analysis.allow" of this installation's configuration does not name it`,
    );
  };

  const free = buildConnector({});
  const checked = buildConnector({ lookup: checkedLookup(refusal) });
  return new Agent({
    connect(target, callback) {
      const { protocol, host, hostname } = target;
      if (origins.has(`${protocol}//${host}`)) return free(target, callback);
      // An address is not looked up.
      const refused = isIP(hostname) === 0 ? null : refusal(hostname, hostname);
      return refused ? callback(refused, null) : checked(target, callback);
    },
  });
}

/** Looks a name up and leaves out what is refused; fails with the refusal where nothing is left. */
function checkedLookup(refusal: (host: string, address: string) => Forbidden | null): LookupFunction {
  return (host, options, callback) =>
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const judged = found.map((it) => ({ ...it, refused: refusal(host, it.address) }));
      const [first, ...more] = judged.filter(({ refused }) => refused === null);
      if (!first) return callback(judged[0]?.refused ?? new Forbidden(`"${host}" has no address`), []);
      if (options.all) return callback(null, [first, ...more]);
      return callback(null, first.address, first.family);
    });
}

function kindOf(address: string): string | undefined {
  for (const [kind, addresses] of kept) if (holds(addresses, address)) return kind;
  return undefined;
}

/** IPv4 addresses written as IPv6 ones (`::ffff:127.0.0.1`) are what they stand for. */
const holds = (addresses: BlockList, address: string): boolean =>
  addresses.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

/** Of addresses and ranges, as `127.0.0.0/8` or `::1`. */
function list(...entries: string[]): BlockList {
  const addresses = new BlockList();
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    addresses.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return addresses;
}
