import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Activities } from '../../activities/index.js';
import type { JournalEntry } from '../../contract/journal.js';

export type ActivityName = keyof Activities;

/** An activity of one deployment, by its workflow's id; `undoing`: where that takes back an effect of this kind. */
export type Step = {
  deployment: string;
  activity: ActivityName;
  undoing?: JournalEntry['effect']['kind'];
};

/** What goes wrong with activities, by their names. */
export type Faults = {
  /** Holds the first attempt of these before it does anything. */
  holdBefore?: readonly ActivityName[];
  /** The same, in deployments that are each to be held elsewhere. */
  holdSteps?: readonly Step[];
  /** Holds the first attempt of these after its effect, before its reply. */
  holdAfter?: readonly ActivityName[];
  /** Runs the first attempt whole, then loses its reply: act, then lose. */
  loseFirstReply?: ActivityName | 'all';
};

/** The same faults, but that this is not held any more; left out: nothing is. */
export function withoutHolds(faults: Faults, name?: ActivityName): Faults {
  const { holdBefore = [], holdAfter = [], holdSteps = [] } = faults;
  return {
    ...faults,
    holdBefore: holdBefore.filter((one) => name && one !== name),
    holdAfter: holdAfter.filter((one) => name && one !== name),
    holdSteps: holdSteps.filter(({ activity }) => name && activity !== name),
  };
}

/** Where faults are looked up, for each attempt anew, and what came of them is told. */
export type FaultDesk = {
  faults: () => Faults;
  /** Reports that an activity is here; settles when it is let go. `key` is of this attempt alone. */
  hold: (name: string, key: string, cancelled: Promise<never>, heartbeat: () => void) => Promise<void>;
  lost: (name: string) => Promise<void> | void;
  failed: (line: string) => Promise<void> | void;
};

/** Real activities in which faults are made. */
export const faulty = (desk: FaultDesk, activities: Activities): Activities =>
  Object.fromEntries(
    Object.entries(activities).map(([name, activity]) => [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        const { attempt } = Context.current().info;
        if (attempt === 1 && holdsBefore(desk.faults(), name, args)) await hold(desk, name);
        const result = await (activity as (...args: unknown[]) => Promise<unknown>)(...args).catch(
          async (error: unknown) => {
            await desk.failed(`${name}: ${String(error).replaceAll('\n', ' ')}`);
            throw error;
          },
        );
        if (attempt !== 1) return result;
        const { holdAfter, loseFirstReply } = desk.faults();
        if (includes(holdAfter, name)) await hold(desk, name);
        if (loseFirstReply === 'all' || loseFirstReply === name) {
          await desk.lost(name);
          throw ApplicationFailure.retryable(`the reply of ${name} was lost`, 'Lost');
        }
        return result;
      },
    ]),
  ) as Activities;

const includes = (names: readonly string[] = [], name: string): boolean => names.includes(name);

function holdsBefore({ holdBefore, holdSteps = [] }: Faults, name: string, args: unknown[]): boolean {
  if (includes(holdBefore, name)) return true;
  const { workflowExecution } = Context.current().info;
  return holdSteps.some(
    ({ deployment, activity, undoing }) =>
      deployment === workflowExecution?.workflowId &&
      activity === name &&
      (undoing === undefined || (args[1] as JournalEntry).effect.kind === undoing),
  );
}

async function hold(desk: FaultDesk, name: string): Promise<void> {
  const context = Context.current();
  const { workflowExecution, activityId } = context.info;
  const key = `${workflowExecution?.runId}-${activityId}`;
  await desk.hold(name, key, context.cancelled, () => context.heartbeat());
}
