import { parse } from 'protobufjs';

/**
 * The part of BuildKit's progress that is shown.
 * https://github.com/moby/buildkit/blob/v0.8.3/api/services/control/control.proto
 */
const schema = `
syntax = "proto3";
package moby.buildkit.v1;
message StatusResponse {
  repeated Vertex vertexes = 1;
  repeated VertexLog logs = 3;
}
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Vertex {
  string digest = 1;
  string name = 3;
  bool cached = 4;
  Timestamp started = 5;
  Timestamp completed = 6;
  string error = 7;
}
message VertexLog {
  string vertex = 1;
  bytes msg = 4;
}`;
const StatusResponse = parse(schema).root.lookupType('moby.buildkit.v1.StatusResponse');

/** Id of the stream lines that carry a {@link BuildTrace}. */
export const traceId = 'moby.buildkit.trace';

export type Vertex = {
  digest: string;
  name: string;
  cached: boolean;
  started: object | null;
  completed: object | null;
  error: string;
};
export type BuildTrace = { vertexes: Vertex[]; logs: { vertex: string; msg: Uint8Array }[] };

/** Decodes the `aux` of a trace line: base64 of a `StatusResponse`. */
export function decodeTrace(aux: unknown): BuildTrace {
  const message = StatusResponse.decode(Buffer.from(String(aux), 'base64'));
  return StatusResponse.toObject(message, { defaults: true, arrays: true, longs: Number }) as BuildTrace;
}
