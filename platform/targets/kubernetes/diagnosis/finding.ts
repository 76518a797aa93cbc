import type { CoreV1Event, V1ContainerStateTerminated, V1Pod, V1Deployment } from '@kubernetes/client-node';

/** Milliseconds that a condition which may pass by itself is given. */
export type Graces = {
  /** No room on any node, or in a quota: a pod that is just being deleted may make some. */
  room: number;
  /** The registry is away, a volume is still attached elsewhere, an admission webhook does not answer. */
  away: number;
  /** From being placed on a node to running, for pulling the image. */
  pull: number;
};
export const defaultGraces: Graces = { room: 2_500, away: 90_000, pull: 20 * 60_000 };

/** Something that keeps a workload from becoming ready. */
export type Finding = {
  /** As the cluster calls it: `ImagePullBackOff`, `OOMKilled`, `Unschedulable`. */
  reason: string;
  /** What is wrong, for people, without the pod's name. */
  text: string;
  /** Milliseconds it must last. */
  grace: number;
  /** Since when, where the cluster tells. */
  since?: number;
  /** Wrong only by the time it takes. */
  late?: true;
  pod?: V1Pod;
  container?: string;
  /** How a container ended. */
  ended?: V1ContainerStateTerminated;
};

/** Milliseconds of a time in an object, which is text in JSON. */
export const timeOf = (time: Date | string | undefined): number =>
  time === undefined ? NaN : new Date(time).getTime();

export const conditionOf = <C extends { type: string }>(conditions: C[] | undefined, type: string) =>
  conditions?.find((condition) => condition.type === type);

/** Whether what the status says is about the present spec. */
export const isObserved = ({ metadata, status }: V1Deployment): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);

export const eventsAbout = (pod: V1Pod, events: CoreV1Event[]): CoreV1Event[] =>
  events.filter(({ involvedObject }) => involvedObject.uid === pod.metadata?.uid);

/** When an event was last repeated. */
export const lastSeen = ({ series, lastTimestamp, eventTime, metadata }: CoreV1Event): number =>
  timeOf(series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp);

export const latest = (events: CoreV1Event[]): CoreV1Event | undefined =>
  events.toSorted((a, b) => lastSeen(a) - lastSeen(b)).at(-1);
