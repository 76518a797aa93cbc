import type { ObjectVersion } from '../../contract/pipeline.js';
import { attempt, modified, pin, type S3 } from './connection.js';

/** A version that still holds bytes; `latest`: what a read of its key gets now. */
export type StoredVersion = { latest: boolean; object: ObjectVersion };

/** Every version below a prefix, deletion marks left out. */
export async function listVersions({ client, bucket }: S3, prefix: string): Promise<StoredVersion[]> {
  const found: StoredVersion[] = [];
  let marker: { keyMarker?: string; versionIdMarker?: string } = {};
  for (;;) {
    const page = await attempt(`listing "${prefix}"`, () =>
      client.listObjectsQuery(bucket, prefix, '', {
        Delimiter: '',
        MaxKeys: 1000,
        IncludeVersion: true,
        ...marker,
      }),
    );
    for (const {
      name,
      size,
      etag,
      lastModified,
      versionId,
      isLatest,
      isDeleteMarker,
    } of page.objects as Listed[])
      if (!isDeleteMarker)
        found.push({
          latest: String(isLatest) === 'true',
          object: { key: name, ...pin(versionId), etag, size, modified: modified(lastModified) },
        });
    if (!page.isTruncated || !page.keyMarker) return found;
    // The client asks for URL encoding, hands markers on undecoded, and puts them into the query as they are.
    marker = {
      keyMarker: encodeURIComponent(decodeURIComponent(page.keyMarker.replaceAll('+', ' '))),
      ...(page.versionIdMarker ? { versionIdMarker: encodeURIComponent(page.versionIdMarker) } : {}),
    };
  }
}

/** What the client answers for a version, more than its types say. */
type Listed = {
  name: string;
  size: number;
  etag: string;
  lastModified: Date;
  versionId?: string;
  isLatest?: boolean | string;
  isDeleteMarker?: boolean | string;
};
