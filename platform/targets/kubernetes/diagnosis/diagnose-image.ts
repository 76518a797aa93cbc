import type { CoreV1Event, V1Pod } from '@kubernetes/client-node';
import { eventsAbout, latest, type Finding, type Graces } from './finding.js';

const refused =
  /\b401\b|\b403\b|unauthorized|authorization failed|authentication required|no basic auth|access denied|denied:/i;
const absent = /not found|manifest unknown|name unknown|no match for platform|repository does not exist/i;

/** Why an image is not there, in the registry's words. A registry that is away comes back. */
export function imageFinding(
  blame: { pod: V1Pod; container: string },
  image: string,
  reason: string,
  message: string,
  events: CoreV1Event[],
  graces: Graces,
): Finding {
  const about = eventsAbout(blame.pod, events);
  // A kubelet before 1.31 says in the back-off no more than that there is one.
  const failed = latest(about.filter((event) => event.message?.startsWith('Failed to pull image') ?? false));
  const cause =
    /ErrImagePull: (.*)/s.exec(message)?.[1] ?? (message.startsWith('Back-off') ? failed?.message : message);
  const said = cause?.replace(/^rpc error: code = \w+ desc = /, '').trim() ?? message;
  const finding = (text: string, grace: number): Finding => ({ ...blame, reason, text, grace });
  if (reason !== 'ErrImagePull' && reason !== 'ImagePullBackOff')
    return finding(`cannot be started: ${message.trim() || `${reason} "${image}"`}`, 0);
  if (absent.test(said) && !refused.test(said)) return finding(`cannot pull its image: ${said}`, 0);
  if (!refused.test(said)) return finding(`cannot pull its image: ${said}`, graces.away);
  const secrets = (blame.pod.spec?.imagePullSecrets ?? []).map(({ name }) => `"${name}"`);
  const missing = about.find((event) => event.reason === 'FailedToRetrieveImagePullSecret');
  const credentials =
    secrets.length === 0
      ? 'asks for credentials, and the pod has no pull secret'
      : `refuses the credentials of pull secret ${secrets.join(', ')}${missing ? ', which is missing' : ''}`;
  return finding(`cannot pull its image: the registry ${credentials}: ${said}`, 0);
}
