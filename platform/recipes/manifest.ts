import { parseDocument } from 'yaml';
import { describeIssues, SourceManifest } from '../../contract/deploy.js';
import { SlipwayError } from '../../contract/errors.js';

/** Name of the file in a source bundle. */
export const manifestFile = 'slipway.yaml';

/**
 * Reads a `slipway.yaml`; empty text is a manifest that says nothing. Throws `InvalidInput` naming line or field.
 */
export function parseSourceManifest(text: string): SourceManifest {
  const parsed = SourceManifest.safeParse(parseYaml(text) ?? {});
  if (!parsed.success)
    throw new SlipwayError('InvalidInput', `reading "${manifestFile}": ${describeIssues(parsed.error)}`, {
      issues: parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message })),
    });
  return parsed.data;
}

function parseYaml(text: string): unknown {
  const document = parseDocument(text);
  const [syntax] = document.errors;
  try {
    if (syntax) throw syntax;
    return document.toJS({ maxAliasCount: 50 });
  } catch (cause) {
    // Aliases of aliases can stand for more than memory holds; the library counts them and throws.
    const [line = ''] = cause instanceof Error ? cause.message.split('\n', 1) : [];
    throw new SlipwayError('InvalidInput', `reading "${manifestFile}": ${line}`, {}, { cause });
  }
}
