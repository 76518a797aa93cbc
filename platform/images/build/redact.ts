import type { BuildConfig } from '../../../contract/stack.js';

/** User and password of a URL in any text: `//user:password@host`. */
const userInfo = /(?<=[a-z][a-z0-9+.-]*:\/\/)[^\s/@]+(?::[^\s/@]*)?@/gi;
/** Shorter secrets would blot out half of the log. */
const shortest = 4;

/** Passwords and tokens inside the index and proxy addresses of builds, as written and decoded. */
export function secretsOf({ pipIndex, httpProxy, httpsProxy }: BuildConfig): string[] {
  const secrets = [pipIndex, httpProxy, httpsProxy].flatMap((address) => {
    if (address === undefined || !URL.canParse(address)) return [];
    const { username, password } = new URL(address);
    // A user name alone is where some indexes take their token.
    const secret = password || username;
    return secret === '' ? [] : [secret, decoded(secret)];
  });
  return [...new Set(secrets)].filter((secret) => secret.length >= shortest);
}

/** A function that takes these secrets, and credentials in any URL, out of a text. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  return (text) =>
    secrets.reduce((redacted, secret) => redacted.replaceAll(secret, '***'), text.replace(userInfo, '***@'));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
