import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** PEM files of a certificate and its key. */
export type Certificate = { certificateFile: string; keyFile: string };

/** An authority of a test's own, in a folder. */
export class Authority {
  private constructor(
    private readonly folder: string,
    readonly name: string,
    readonly own: Certificate,
  ) {}

  static async make(folder: string, name: string): Promise<Authority> {
    const own = filesOf(folder, name);
    await openssl(
      'req',
      '-x509',
      ...newKey(own.keyFile),
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-out',
      own.certificateFile,
    );
    return new Authority(folder, name, own);
  }

  /** File with its certificate, for those who trust it. */
  get caFile(): string {
    return this.own.certificateFile;
  }

  /** A certificate that it signed; `extension` as in openssl's configuration, e.g. `subjectAltName=DNS:a.test`. */
  async sign(name: string, extension: string): Promise<Certificate> {
    const signed = filesOf(this.folder, `${this.name}-${name}`);
    const [request, extensions] = [`${signed.certificateFile}.csr`, `${signed.certificateFile}.ext`];
    await writeFile(extensions, extension);
    await openssl('req', ...newKey(signed.keyFile), '-subj', `/CN=${name}`, '-out', request);
    await openssl(
      ...[
        'x509',
        '-req',
        '-in',
        request,
        '-out',
        signed.certificateFile,
        '-days',
        '2',
        '-extfile',
        extensions,
      ],
      ...['-CA', this.own.certificateFile, '-CAkey', this.own.keyFile, '-CAcreateserial'],
    );
    return signed;
  }
}

/** PEM texts of a key and a certificate that it signed itself, for `alternative`: `DNS:localhost`, `IP:10.0.0.1`. */
export async function selfSigned(alternative: string): Promise<{ key: string; certificate: string }> {
  const { stdout: pem } = await openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '-', '-out', '-', '-days', '2'],
    ...['-subj', '/CN=test', '-addext', `subjectAltName=${alternative}`],
  );
  const from = pem.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: pem.slice(0, from), certificate: pem.slice(from) };
}

const filesOf = (folder: string, name: string): Certificate => ({
  certificateFile: join(folder, `${name}.crt`),
  keyFile: join(folder, `${name}.key`),
});
const newKey = (file: string): string[] => ['-newkey', 'rsa:2048', '-nodes', '-keyout', file];
const openssl = (...args: string[]) => execa('openssl', args, { stdin: 'ignore' });
