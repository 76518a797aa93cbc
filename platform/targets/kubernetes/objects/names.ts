import { createHash } from 'node:crypto';

/** Longest name of a service here; `--r` and a fencing token follow it, 63 characters are allowed in all. */
const longest = 40;

/**
 * Name of a service's own objects in a cluster: the service's, where that is a DNS label that begins with a letter
 * (https://www.rfc-editor.org/rfc/rfc1035); else made into one, with a hash of the service's name at its end. No two
 * services get the same: what looks like such a hash, or like a workload's name, is hashed as well.
 */
export function serviceName(service: string): string {
  const plain =
    service.length <= longest &&
    /^[a-z](?:[a-z0-9-]*[a-z0-9])?$/.test(service) &&
    !service.includes('--') &&
    !/-[0-9a-f]{8}$/.test(service);
  if (plain) return service;
  const hash = createHash('sha256').update(service).digest('hex').slice(0, 8);
  const readable = service
    .replaceAll(/[_-]+/g, '-')
    .replace(/^(?=\d)/, 's')
    .slice(0, longest - 9)
    .replace(/-$/, '');
  return `${readable}-${hash}`;
}

/** Name of a release's Deployment and of the Service in front of it: `iris--r7`; with `check`, `iris--r7-check`. */
export const workloadName = (service: string, token: number, role: 'serve' | 'check'): string =>
  `${serviceName(service)}--r${token}${role === 'check' ? '-check' : ''}`;
