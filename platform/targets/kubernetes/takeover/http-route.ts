import { isDeepStrictEqual } from 'node:util';
import { SlipwayError } from '../../../../contract/errors.js';
import type { Takeover } from '../../index.js';
import { assertNotFenced, isOutdated, nameOf, read } from '../apiserver/apply.js';
import type { Cluster } from '../cluster.js';
import { annotations, labels } from '../objects/labels.js';
import { listObjects } from '../apiserver/list.js';
import { serviceName } from '../objects/names.js';
import { replace } from './put.js';
import type { Managed, Thing } from '../objects/stable.js';
import { servicePort } from '../objects/workload.js';

const kind = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute' } as const;

type BackendRef = { group?: string; kind?: string; name: string; port?: number; weight?: number };
type Rule = { backendRefs?: BackendRef[] };
type Route = Thing & { spec: { rules?: Rule[] } };

/** What a division took the place of, noted on the route itself. */
type Before = { rules: Rule[]; weight: number; managedFields: Managed[] };

const isDivided = ({ strategy }: Takeover): boolean =>
  strategy.kind === 'canary' && strategy.traffic === 'httpRoute';

/**
 * The HTTPRoute that leads to a service: the one of its name, else the one with its label. It belongs to whoever made
 * it; only the weights of its backends are changed, and given back. Null where the strategy does not use it. Throws
 * `NotFound` where it does and there is none, or none that leads to the service.
 */
export async function findRoute(
  cluster: Cluster,
  takeover: Takeover,
  signal?: AbortSignal,
): Promise<Route | null> {
  const { set, replicas, live } = takeover;
  if (!isDivided(takeover) || live.length === 0) return null;
  const { service } = set.grant;
  const namespace = replicas[0]!.node;
  const name = serviceName(service);
  const named = await read<Route>(cluster, { ...kind, metadata: { namespace, name } }, signal);
  const route = named ?? (await labelled(cluster, namespace, service, signal));
  if (route === null)
    throw new SlipwayError(
      'NotFound',
      `strategy.traffic: "httpRoute" needs an HTTPRoute "${name}", or one with label ${labels.service}=${service}, in namespace "${namespace}"`,
    );
  if (!route.spec.rules?.some((rule) => rule.backendRefs?.some(leadsTo(name))))
    throw new SlipwayError(
      'NotFound',
      `strategy.traffic: no rule of ${nameOf(route)} has the service "${name}" among its backendRefs`,
    );
  return route;
}

async function labelled(
  cluster: Cluster,
  namespace: string,
  service: string,
  signal?: AbortSignal,
): Promise<Route | null> {
  const selector = `${labels.service}=${service}`;
  const { items } = await listObjects(
    cluster,
    `listing HTTPRoutes in namespace "${namespace}"`,
    kind,
    { namespace, labelSelector: selector },
    signal,
  );
  return (items[0] as Route | undefined) ?? null;
}

const leadsTo = (service: string) => (ref: BackendRef) =>
  ref.name === service && (ref.kind ?? 'Service') === 'Service' && (ref.group ?? '') === '';

/** Sends this percent of what goes to the service to the new release's Service instead. */
export async function divideRoute(
  cluster: Cluster,
  takeover: Takeover,
  weight: number,
  signal?: AbortSignal,
): Promise<void> {
  const name = serviceName(takeover.set.grant.service);
  await rewrite(cluster, takeover, signal, (route) => {
    const before = noted(route) ?? {
      rules: route.spec.rules ?? [],
      weight: 0,
      managedFields: route.metadata?.managedFields ?? [],
    };
    const rules = divided(undivided(route, before, name, takeover), name, takeover.replicas[0]!.name, weight);
    return { rules, note: { ...before, weight } };
  });
}

/** Leads to the service alone again. */
export const undivideRoute = (cluster: Cluster, takeover: Takeover, signal?: AbortSignal): Promise<void> =>
  rewrite(cluster, takeover, signal, (route) => {
    const before = noted(route);
    if (!before) return null;
    const rules = undivided(route, before, serviceName(takeover.set.grant.service), takeover);
    return { rules, note: null, managers: rules === before.rules ? before.managedFields : undefined };
  });

type Rewritten = { rules: Rule[]; note: Before | null; managers?: Managed[] | undefined };

async function rewrite(
  cluster: Cluster,
  takeover: Takeover,
  signal: AbortSignal | undefined,
  change: (route: Route) => Rewritten | null,
): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    const route = await findRoute(cluster, takeover, signal);
    if (route === null) return;
    const { token } = takeover.set.grant;
    assertNotFenced(route, token);
    const to = change(route);
    if (to === null) return;
    const { [annotations.divided]: _, ...others } = route.metadata?.annotations ?? {};
    const noting = to.note && {
      [annotations.divided]: JSON.stringify(to.note),
      [annotations.changed]: String(token),
    };
    const wanted = {
      annotations: { ...others, ...noting },
      spec: { ...route.spec, rules: to.rules },
    };
    try {
      const now = await replace(cluster, 'changing', route, wanted, signal);
      // The rules are as their owner had set them: they are the owner's again.
      if (to.managers) await replace(cluster, 'changing', now, { managedFields: dated(to.managers) }, signal);
      return;
    } catch (error) {
      if (!isOutdated(error)) throw error;
    }
  }
}

const noted = (route: Route): Before | null => {
  const text = route.metadata?.annotations?.[annotations.divided];
  return text === undefined ? null : (JSON.parse(text) as Before);
};

/** The rules without a canary: as they were, or, when somebody has changed them since, only without what was added. */
function undivided(route: Route, before: Before, service: string, { replicas }: Takeover): Rule[] {
  const now = route.spec.rules ?? [];
  const name = replicas[0]!.name;
  const expected = before.weight === 0 ? before.rules : divided(before.rules, service, name, before.weight);
  if (isDeepStrictEqual(now, expected)) return before.rules;
  return now.map((rule) => ({
    ...rule,
    ...(rule.backendRefs && {
      backendRefs: rule.backendRefs
        .filter((ref) => !leadsTo(name)(ref))
        .map((ref) => (leadsTo(service)(ref) ? { ...ref, weight: 1 } : ref)),
    }),
  }));
}

/** Weights are whole numbers and relative: each backend's is multiplied, so that the others keep their shares. */
function divided(rules: Rule[], service: string, canary: string, weight: number): Rule[] {
  return rules.map((rule) => {
    if (!rule.backendRefs?.some(leadsTo(service))) return rule;
    const backendRefs = rule.backendRefs.flatMap((ref) => {
      const whole = ref.weight ?? 1;
      if (!leadsTo(service)(ref)) return { ...ref, weight: whole * 100 };
      return [
        { ...ref, weight: whole * (100 - weight) },
        { ...ref, name: canary, port: servicePort, weight: whole * weight },
      ];
    });
    return { ...rule, backendRefs };
  });
}

/** As the client sends them: what went through JSON has its times as text. */
export const dated = (entries: Managed[]): Managed[] =>
  entries.map((entry) => ({ ...entry, ...(entry.time && { time: new Date(entry.time) as never }) }));
