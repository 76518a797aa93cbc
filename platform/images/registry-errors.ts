import { Refused, SlipwayError } from '../../contract/errors.js';

/** An answer of a registry that is no success. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';

  constructor(
    message: string,
    readonly status: number,
    /** https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes */
    readonly codes: readonly string[],
    /** Milliseconds the registry asks to wait before the next try. */
    readonly retryAfter: number | null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** The registry has forgotten an upload session, or no longer likes its state. */
  get sessionLost(): boolean {
    return (
      this.status === 404 ||
      this.codes.includes('BLOB_UPLOAD_UNKNOWN') ||
      this.codes.includes('BLOB_UPLOAD_INVALID')
    );
  }
}

/** The bytes to be sent could not be read: no fault of the registry or the way to it. */
export class SourceReadError extends Error {
  override readonly name = 'SourceReadError';
}

export type Refusal = {
  /** `uploading layer "sha256:…" to "slipway/iris"` */
  doing: string;
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
};

/** In words, or as distribution tells a system's error: ENOSPC is 28, EDQUOT 122. */
const diskFull = /no space left|ENOSPC|insufficient storage|disk quota exceeded|"Err":(28|122)\b/i;

/** What a refusal means: a full disk is named as such, anything else is a {@link RegistryError}. */
export function refusal({ doing, status, headers, body }: Refusal): Error {
  const reason = reasonIn(body);
  if (status === 507 || diskFull.test(body))
    return new SlipwayError('PushFailed', `${doing}: disk full on the registry`, { status });
  return new RegistryError(
    `${doing}: the registry answered ${status}${reason === '' ? '' : ` (${reason})`}`,
    status,
    parseErrors(body).map(({ code }) => code),
    retryAfter(headers['retry-after']),
  );
}

/** `CODE message; …` of an error body, empty when it is none. */
export const reasonIn = (body: string): string =>
  parseErrors(body)
    .map(({ code, message }) => [code, message].filter(Boolean).join(' '))
    .filter((text) => text !== '')
    .join('; ');

/** The registry knows who asks, or does not, and does not allow it. */
export function notAllowed(
  doing: string,
  repository: string | null,
  user: string,
  status: number,
  reason = '',
): Refused {
  const who = user === '' ? 'anonymous access' : `user "${user}"`;
  return new Refused(
    'PushFailed',
    status === 403
      ? `${doing}: the registry does not allow this to ${who}${reason === '' ? '' : ` (${reason})`}`
      : `${doing}: the registry refuses the credentials of ${who}`,
    { ...(repository === null ? {} : { repository }), user, status },
  );
}

function parseErrors(body: string): { code: string; message: string }[] {
  try {
    const parsed = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] };
    return (parsed.errors ?? []).map(({ code, message }) => ({
      code: typeof code === 'string' ? code : '',
      message: typeof message === 'string' ? message.slice(0, 300) : '',
    }));
  } catch {
    // A proxy in front of the registry speaks HTML.
    return [];
  }
}

/** Seconds or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfter(header: string | string[] | undefined): number | null {
  if (typeof header !== 'string') return null;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}
