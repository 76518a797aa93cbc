import { request, type Dispatcher } from 'undici';
import { notAllowed, refusal } from './registry-errors.js';

type Token = { value: string; goodUntil: number };
type Challenge = { kind: 'basic' } | { kind: 'bearer'; realm: URL; service: string | undefined };
type Asking = { doing: string; repository: string | null; scopes: readonly string[]; signal?: AbortSignal };

/** A token that says nothing of its life is good for so many seconds. */
const defaultLife = 60;

/**
 * Who we are to a registry. Which way it wants to hear that, it says with its first 401; bearer tokens are kept per
 * scope and fetched anew before they expire. https://distribution.github.io/distribution/spec/auth/token/
 */
export class RegistryCredentials {
  readonly #basic: string;
  readonly #tokens = new Map<string, Promise<Token>>();
  #challenge: Challenge | null = null;

  constructor(
    private readonly origin: URL,
    readonly username: string,
    password: string,
    private readonly dispatcher: Dispatcher,
  ) {
    this.#basic = username === '' ? '' : `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  /** Value of `Authorization` for these scopes, as far as the registry's wishes are known. */
  async header(asking: Asking): Promise<string | undefined> {
    if (this.#challenge === null) return undefined;
    if (this.#challenge.kind === 'basic') return this.#basic || undefined;
    return `Bearer ${await this.#token(this.#challenge, asking)}`;
  }

  /** Learns from a 401. True when asking again with a new {@link header} may help; `sent` is what was refused. */
  challenged(wwwAuthenticate: string, asking: Asking, sent: string | undefined): boolean {
    const challenge = this.#parse(wwwAuthenticate);
    if (challenge === null) return false;
    this.#challenge = challenge;
    if (challenge.kind === 'basic') return this.#basic !== '' && sent !== this.#basic;
    this.#tokens.delete(keyOf(asking));
    return true;
  }

  async #token(challenge: Challenge & { kind: 'bearer' }, asking: Asking): Promise<string> {
    const key = keyOf(asking);
    const known = this.#tokens.get(key);
    if (known) {
      const token = await known;
      if (token.goodUntil > Date.now()) return token.value;
    }
    // Several blobs are sent at once: they share one new token.
    if (this.#tokens.get(key) === known) {
      const fetched = this.#fetch(challenge, asking);
      this.#tokens.set(key, fetched);
      fetched.catch(() => {
        if (this.#tokens.get(key) === fetched) this.#tokens.delete(key);
      });
    }
    return (await this.#tokens.get(key)!).value;
  }

  async #fetch({ realm, service }: Challenge & { kind: 'bearer' }, asking: Asking): Promise<Token> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of asking.scopes) url.searchParams.append('scope', scope);
    const asked = Date.now();
    const answer = await request(url, {
      dispatcher: this.dispatcher,
      headers: this.#basic === '' ? {} : { authorization: this.#basic },
      headersTimeout: 30_000,
      ...(asking.signal ? { signal: asking.signal } : {}),
    });
    const body = await answer.body.text();
    const doing = `${asking.doing}: fetching a token from "${realm.origin}"`;
    if (answer.statusCode === 401 || answer.statusCode === 403)
      throw notAllowed(doing, asking.repository, this.username, 401);
    if (answer.statusCode !== 200)
      throw refusal({ doing, status: answer.statusCode, headers: answer.headers, body });
    const { token, access_token, expires_in } = parseToken(body);
    const value = token ?? access_token;
    if (value === undefined) throw new Error(`${doing}: the answer has no token`);
    const life = expires_in ?? defaultLife;
    return { value, goodUntil: asked + life * 900 };
  }

  #parse(header: string): Challenge | null {
    const bearer = /\bBearer\s+((?:[a-z_]+="[^"]*"(?:\s*,\s*)?)+)/i.exec(header)?.[1];
    if (bearer !== undefined) {
      const fields = new Map([...bearer.matchAll(/([a-z_]+)="([^"]*)"/gi)].map((m) => [m[1]!, m[2]!]));
      const realm = new URL(fields.get('realm') ?? '', this.origin);
      // Whoever can rewrite a registry's answers must not get the password in clear.
      if (realm.protocol !== 'https:' && this.origin.protocol === 'https:')
        throw new Error(
          `the registry "${this.origin.host}" wants its password sent unencrypted to "${realm.host}"`,
        );
      return { kind: 'bearer', realm, service: fields.get('service') };
    }
    return /\bBasic\b/i.test(header) ? { kind: 'basic' } : null;
  }
}

const keyOf = ({ scopes }: Asking): string => scopes.join(' ');

const parseToken = (body: string) =>
  JSON.parse(body) as { token?: string; access_token?: string; expires_in?: number };
