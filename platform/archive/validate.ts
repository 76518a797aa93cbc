import yauzl, { type Entry } from 'yauzl';
import type { ArchiveLimits } from '../../contract/stack.js';
import { foldersOf, isLitter, nameProblem, normalise } from './names.js';
import { WindowedReader } from './ranges.js';
import { refuseArchive, refuseEntry } from './refuse.js';
import type { ArchiveSource } from './source.js';

/** A file of an archive whose central directory was found good; its bytes are still to be judged. */
export type ArchiveEntry = {
  path: string;
  /** The name as it stands in the archive, to be compared with the one in front of the bytes. */
  rawName: Buffer;
  headerOffset: number;
  /** Bytes in the archive. */
  packed: number;
  /** Bytes unpacked, as the directory says. */
  size: number;
  crc32: number;
  method: 'stored' | 'deflated';
};

/** Entries smaller than this may shrink as well as they can: text often shrinks a hundredfold. */
const ratioJudgedAbove = 1 << 20;
const localHeaderBytes = 30;

/**
 * Reads and judges a zip's central directory (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3)
 * without unpacking anything. Answers its files in the order of their bytes. Throws `InvalidInput` naming the
 * entry: paths that leave the archive, links and other special files, names used twice or as a folder too,
 * encryption, unknown compression, entries that overlap, bombs, nothing at all. Folders are implied by files;
 * what macOS adds (`__MACOSX/`, `.DS_Store`) is left out.
 */
export async function readDirectory(source: ArchiveSource, limits: ArchiveLimits): Promise<ArchiveEntry[]> {
  const { directoryAt, entries } = await readEntries(source, limits);
  const files: ArchiveEntry[] = [];
  const folders = new Map<string, string>();
  const all: ArchiveEntry[] = [];
  let total = 0;
  for (const entry of entries) {
    const refuse = (reason: string) => refuseEntry(source.name, shown(entry), reason);
    const problem = problemOf(entry, limits);
    if (problem) throw refuse(problem);
    total += entry.uncompressedSize;
    if (total > limits.maxTotalBytes)
      throw refuse(`unpacks the archive to more than ${limits.maxTotalBytes} bytes in all`);
    const name = nameOf(entry);
    const file = toFile(entry, normalise(name));
    all.push(file);
    if (name.endsWith('/')) folders.set(keyOf(file.path), name);
    else if (file.path === '') throw refuse('has no name');
    else if (!isLitter(file.path)) files.push(file);
  }
  refuseOverlap(source.name, all, directoryAt);
  refuseAmbiguity(source.name, files, folders);
  if (files.length === 0) throw refuseArchive(source.name, 'has no files');
  return files.sort((a, b) => a.headerOffset - b.headerOffset);
}

/** Throws the archive's own faults as `InvalidInput`, faults of reading it as they are. */
async function readEntries(source: ArchiveSource, limits: ArchiveLimits) {
  const reader = new WindowedReader(source);
  const entries: Entry[] = [];
  try {
    // Names and sizes are judged here: a refusal has to say which entry it means.
    const zip = await yauzl.fromRandomAccessReaderPromise(reader, source.size, {
      decodeStrings: false,
      validateEntrySizes: false,
    });
    // Where the directory starts; declared as a boolean by mistake.
    const directoryAt = Number(zip.readEntryCursor);
    if (zip.entryCount > limits.maxEntries)
      throw refuseArchive(
        source.name,
        `has ${zip.entryCount} entries, more than the ${limits.maxEntries} allowed`,
      );
    for await (const entry of zip.eachEntry()) entries.push(entry);
    return { directoryAt, entries };
  } catch (error) {
    if (reader.failure !== undefined) throw reader.failure;
    if ((error as Error).name === 'SlipwayError') throw error;
    const last = entries.at(-1);
    const where = last ? ` (behind entry ${JSON.stringify(shown(last))})` : '';
    const { message } = error as Error;
    throw refuseArchive(source.name, `not a zip file, or cut short or damaged${where}: ${message}`, error);
  }
}

function problemOf(entry: Entry, limits: ArchiveLimits): string | null {
  const name = nameOf(entry);
  const { compressedSize: packed, uncompressedSize: size } = entry;
  if (entry.isEncrypted() || entry.generalPurposeBitFlag & 0x2040) return 'is encrypted';
  const unsafe = nameProblem(name);
  if (unsafe) return unsafe;
  const special = specialKind(entry, name.endsWith('/'));
  if (special) return special;
  if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8)
    return `is packed with method ${entry.compressionMethod}; only stored and deflated are supported`;
  if (entry.compressionMethod === 0 && packed !== size)
    return `is stored, but its ${packed} bytes are to be ${size} unpacked`;
  if (name.endsWith('/') && size > 0) return 'is a folder with bytes of its own';
  if (size > limits.maxTotalBytes)
    return `unpacks to ${size} bytes, more than the ${limits.maxTotalBytes} allowed`;
  if (size > ratioJudgedAbove && size / Math.max(packed, 1) > limits.maxRatio)
    return `unpacks to ${Math.round(size / Math.max(packed, 1))} times its size, more than the ${limits.maxRatio} allowed`;
  return null;
}

/** File types of Unix, kept in the upper half of the external attributes. */
const fileTypes: Record<number, string> = {
  0o010000: 'a named pipe',
  0o020000: 'a device',
  0o060000: 'a device',
  0o120000: 'a symbolic link',
  0o140000: 'a socket',
};

function specialKind({ externalFileAttributes }: Entry, namedFolder: boolean): string | null {
  const type = (externalFileAttributes >>> 16) & 0o170000;
  if (type === 0 || type === 0o100000) return null;
  if (type === 0o040000) return namedFolder ? null : 'is a folder without a "/" at its end';
  return `is ${fileTypes[type] ?? 'a special file'}; only files and folders are allowed`;
}

/** Each byte belongs to one entry at most, or a small archive can unpack to anything. */
function refuseOverlap(archive: string, entries: ArchiveEntry[], directoryAt: number): void {
  let end = 0;
  for (const entry of entries.sort((a, b) => a.headerOffset - b.headerOffset)) {
    const name = entry.rawName.toString();
    if (entry.headerOffset < end) throw refuseEntry(archive, name, 'overlaps another entry');
    end = entry.headerOffset + localHeaderBytes + entry.rawName.length + entry.packed;
    if (end > directoryAt) throw refuseEntry(archive, name, 'reaches into the directory of the archive');
  }
}

function refuseAmbiguity(archive: string, files: ArchiveEntry[], folders: Map<string, string>): void {
  const seen = new Set<string>();
  for (const { path } of files) {
    if (seen.has(keyOf(path))) throw refuseEntry(archive, path, 'is there twice');
    seen.add(keyOf(path));
  }
  for (const { path } of files) {
    if (folders.has(keyOf(path))) throw refuseEntry(archive, path, 'is a file and a folder at once');
    const file = foldersOf(path).find((folder) => seen.has(keyOf(folder)));
    if (file !== undefined) throw refuseEntry(archive, path, `lies in "${file}", which is a file`);
  }
}

/** Two spellings of one accented letter are one name on many file systems; letters' case is not folded. */
const keyOf = (path: string): string => path.normalize('NFC');

const nameOf = ({ generalPurposeBitFlag, fileNameRaw, extraFields }: Entry): string =>
  yauzl.getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, true);

const shown = (entry: Entry): string => nameOf(entry).slice(0, 300);

const toFile = (entry: Entry, path: string): ArchiveEntry => ({
  path,
  rawName: entry.fileNameRaw,
  headerOffset: entry.relativeOffsetOfLocalHeader,
  packed: entry.compressedSize,
  size: entry.uncompressedSize,
  crc32: entry.crc32,
  method: entry.compressionMethod === 0 ? 'stored' : 'deflated',
});
