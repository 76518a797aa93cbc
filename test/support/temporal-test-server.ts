import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Tool } from '../../infra/local/tools/tool.js';

const version = '1.32.1';
const program = 'temporal-test-server';

/** Temporal's time-skipping test server, from its Maven artifact: needs Java and Maven. */
export const testServer: Tool = {
  name: 'temporal-test-server',
  commands: [],
  floor: { version: '0', read: /()/ },
  sources: [
    {
      what: `getting io.temporal:temporal-test-server:${version} with Maven`,
      keeps: { version, program },
      install: async (folder, _say, signal) => {
        const project = join(folder, 'pom.xml');
        await writeFile(project, pom);
        await execa(
          'mvn',
          [
            '--quiet',
            '--batch-mode',
            `--file=${project}`,
            'dependency:copy-dependencies',
            '-DincludeScope=runtime',
            `-DoutputDirectory=${join(folder, 'lib')}`,
          ],
          { cancelSignal: signal },
        );
        await writeFile(join(folder, program), script);
        await chmod(join(folder, program), 0o755);
      },
    },
  ],
  advice: 'Install Java 11 or later and Maven.',
};

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>slipway</groupId>
  <artifactId>tools</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>io.temporal</groupId>
      <artifactId>temporal-test-server</artifactId>
      <version>${version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-nop</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`;

const script = `#!/bin/sh
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$(dirname "$0")/lib/*" \\
  io.temporal.testserver.TestServer "$@"
`;
