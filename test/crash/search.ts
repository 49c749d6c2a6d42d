// Looks for a crash that loses something, program after program, and for the shortest program that still has one.

import { Random } from '../support/seed.ts';
import { faultOf } from './check.ts';
import { type CrashState, execute } from './execute.ts';
import { describeProgram, makeProgram, type Program, type Step } from './program.ts';
import type { Subject } from './subjects.ts';

/** Crashes tried at each moment of a program. */
const PICKS = 2;
/** The same while a program is shortened: its moments move, and the crash is to be met again. */
const SHRINK_PICKS = 16;
/** Programs tried at most while one is shortened, and for how long. */
const SHRINK_RUNS = 600;
const SHRINK_MS = 30_000;

/** What is wrong, and where. */
interface Fault {
  readonly text: string;
  readonly state: CrashState | undefined;
}

/** What a search came to: how many states it looked at, and what it found in the last of them. */
export interface Search {
  readonly stateCount: number;
  readonly programCount: number;
  /** The report on a failure, with its seed and the shortest program; undefined if all is well. */
  readonly failure: string | undefined;
}

/**
 * Runs the programs of `seed`, `seed + 1` and so on until so many states have been looked at, or one is wrong. Of the
 * last program all states are looked at, or, with `isExact`, as many as are still wanted, from all over it.
 */
export async function search(subject: Subject, seed: number, states: number, isExact = false): Promise<Search> {
  let stateCount = 0;
  let programCount = 0;
  while (stateCount < states) {
    const program = makeProgram(subject, seed + programCount++);
    const { fault, seen } = await firstFault(program, PICKS, isExact ? states - stateCount : Infinity);
    stateCount += seen;
    if (fault !== undefined) return { stateCount, programCount, failure: await report(program, fault, stateCount) };
  }
  return { stateCount, programCount, failure: undefined };
}

async function firstFault(program: Program, picks: number, most = Infinity): Promise<{ fault?: Fault; seen: number }> {
  const run = await execute(program, picks);
  const { failure } = run;
  const states = someOf(run.states, most, program.seed);
  for (const [index, state] of states.entries()) {
    const text = await faultOf(state);
    if (text !== undefined) return { fault: { text, state }, seen: index + 1 };
  }
  const seen = states.length;
  return failure === undefined ? { seen } : { fault: { text: failure, state: undefined }, seen };
}

/** At most so many of the states: one from each of as many stretches of equal length. */
function someOf(states: readonly CrashState[], most: number, seed: number): readonly CrashState[] {
  if (states.length <= most) return states;
  const [stretch, random] = [states.length / most, new Random(seed)];
  const bound = (index: number): number => Math.floor(index * stretch);
  return Array.from({ length: most }, (_, index) => {
    return states[bound(index) + random.below(bound(index + 1) - bound(index))]!;
  });
}

async function report(program: Program, fault: Fault, stateCount: number): Promise<string> {
  const { shortest, fault: last } = await shrink(program, fault);
  const { seed, subject, steps } = program;
  return [
    `${describeFault(fault)} (the state number ${stateCount})`,
    `seed ${seed}, ${steps.length} steps; again: npm run test:crash -- --seed ${seed} --states 1 --image '${subject.name}'`,
    `the shortest program that still fails, ${describeFault(last)}:`,
    describeProgram(shortest),
  ].join('\n');
}

function describeFault({ text, state }: Fault): string {
  return state === undefined ? text : `${text}, after a crash at moment ${state.moment} (${state.loss})`;
}

/** Leaves steps away, then makes what is left smaller, as long as the program fails; the choices of crashes stay. */
async function shrink(program: Program, fault: Fault): Promise<{ shortest: Program; fault: Fault }> {
  let best = { shortest: program, fault };
  const end = Date.now() + SHRINK_MS;
  let runs = 0;
  const attempt = async (steps: readonly Step[]): Promise<boolean> => {
    if (runs++ >= SHRINK_RUNS || Date.now() > end) return false;
    const shortest = { ...program, steps };
    const found = (await firstFault(shortest, SHRINK_PICKS)).fault;
    if (found !== undefined) best = { shortest, fault: found };
    return found !== undefined;
  };
  for (let before = -1; before !== runs; ) {
    before = runs;
    const lengthBefore = JSON.stringify(best.shortest.steps);
    await leaveAway(() => best.shortest.steps, attempt);
    await makeSmaller(() => best.shortest.steps, attempt);
    if (JSON.stringify(best.shortest.steps) === lengthBefore) break;
  }
  return best;
}

type Attempt = (steps: readonly Step[]) => Promise<boolean>;

async function leaveAway(current: () => readonly Step[], attempt: Attempt): Promise<void> {
  for (let size = Math.ceil(current().length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < current().length; ) {
      const isGone = await attempt(current().toSpliced(from, size));
      if (!isGone) from += size;
    }
  }
}

async function makeSmaller(current: () => readonly Step[], attempt: Attempt): Promise<void> {
  for (let index = 0; index < current().length; index++) {
    for (const smaller of smallerSteps) {
      for (let isSmaller = true; isSmaller; ) {
        const step = current()[index];
        const next = step === undefined ? undefined : smaller(step);
        isSmaller = next !== undefined && (await attempt(current().with(index, next)));
      }
    }
  }
}

/** Ways to make a step simpler; undefined where it is so already. */
const smallerSteps: readonly ((step: Step) => Step | undefined)[] = [
  (step) => (step.isAwaited || step.turns === 0 ? undefined : { ...step, isAwaited: true }),
  (step) => ('length' in step && step.length > 1 ? { ...step, length: Math.floor(step.length / 2) } : undefined),
  (step) => {
    if (!('length' in step) || step.length < 2) return undefined;
    const half = Math.floor(step.length / 2);
    return { ...step, position: step.position + half, length: step.length - half };
  },
  (step) => (step.isAwaited || step.turns === 0 ? undefined : { ...step, turns: Math.floor(step.turns / 2) }),
];
