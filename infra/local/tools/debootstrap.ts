import { apt } from './apt.js';
import type { Tool } from './tool.js';

/** Makes a Debian file system from packages. */
export const debootstrap: Tool = {
  name: 'debootstrap',
  commands: ['debootstrap'],
  floor: { version: '1.0', read: /(\d+\.\d+\.\d+)/ },
  // Other distributions lack the keys that Debian's packages are signed with.
  sources: [apt('debootstrap', 'debian-archive-keyring')],
  advice: 'Install debootstrap, or make it possible to pull from Docker Hub.',
};
