// Runs a program on a storage one call of which fails, and says what is wrong with how the disk takes it.

import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { VhdError } from '../../src/errors.ts';
import { CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { History } from '../support/history.ts';
import { turns } from '../support/probe-storage.ts';
import { mix, Random } from '../support/seed.ts';
import { faultOf } from './check.ts';
import { type Call, perform } from './execute.ts';
import { type Fault, FaultStorage } from './fault-storage.ts';
import type { Program } from './program.ts';
import { endsInFooter } from './structure.ts';
import { openSubject } from './subjects.ts';

/** What a run with a fault came to. */
export interface FaultRun {
  /** False: the program makes fewer calls, and ran through. */
  readonly isReached: boolean;
  readonly wrong: string | undefined;
}

/** What is called after the program: a disk that is not poisoned must do it all. */
const AFTERWARDS: readonly Call[] = [
  { kind: 'write', position: 4000, length: 5000, fill: 77, turns: 0, isAwaited: true },
  { kind: 'write', position: 8192, length: 70_000, fill: 78, turns: 0, isAwaited: true },
  { kind: 'flush', turns: 0, isAwaited: true },
  { kind: 'read', position: 0, length: 90_000, turns: 0, isAwaited: true },
];

/**
 * Runs a program whose `fault.at`-th call on the storage fails. The error must reach a caller; nothing else may fail,
 * unless the disk is poisoned and from then on rejects everything; no read gives what cannot be there; and what was
 * flushed is in every file that a crash could leave then.
 */
export async function runWithFault(program: Program, fault: Fault): Promise<FaultRun> {
  const run = new FaultRunner(program, fault);
  const wrong = await run.run().catch(String);
  return { isReached: run.faulty.isReached, wrong };
}

class FaultRunner {
  readonly faulty: FaultStorage;
  readonly #storage: CrashStorage;
  readonly #history: History;
  readonly #program: Program;
  readonly #errors: unknown[] = [];
  readonly #seen = new Set<string>();
  #wrong: string | undefined;

  constructor(program: Program, fault: Fault) {
    const { subject, durability, seed } = program;
    this.#program = program;
    this.#storage = new CrashStorage(subject.image, { discard: subject.discard });
    this.#storage.delay = (_, position) => turns(new Random(mix(seed, position)).below(8));
    this.#history = new History(subject.content, durability);
    this.faulty = new FaultStorage(this.#storage, fault);
  }

  async run(): Promise<string | undefined> {
    const { durability, limits, subject, steps } = this.#program;
    const options = { writable: true, durability, limits };
    const disk = await openSubject(this.faulty, subject, options).catch((error: unknown) => this.#note(error));
    if (disk !== undefined) {
      const calls: Promise<void>[] = [];
      for (const step of [...steps, ...AFTERWARDS]) {
        if (step.kind === 'crash' || step.kind === 'reopen') continue;
        if (step === AFTERWARDS[0]) await Promise.all(calls);
        calls.push(this.#call(() => perform(step, { disk, history: this.#history })));
        if (step.isAwaited) await Promise.all(calls);
        else await turns(step.turns);
      }
      await Promise.all(calls);
      this.#wrong ??= await this.#faultLeft();
      await this.#close(disk);
    }
    this.#wrong ??= (await this.#faultLeft()) ?? this.#faultOfErrors();
    return this.#wrong;
  }

  /** Makes a call; one that begins when the disk is poisoned must hear so. */
  async #call(call: () => Promise<void>): Promise<void> {
    const wasPoisoned = this.#errors.some(isPoisoned);
    try {
      await call();
      if (wasPoisoned) this.#wrong ??= 'a call resolved though the disk was poisoned';
    } catch (error) {
      this.#note(error);
      if (wasPoisoned && !isPoisoned(error)) this.#wrong ??= `the disk was poisoned, but a call says: ${String(error)}`;
    }
  }

  async #close(disk: VhdDisk): Promise<void> {
    const done = this.#history.beginFlush();
    await this.#call(async () => {
      await disk.close();
      done();
    });
  }

  #note(error: unknown): undefined {
    this.#errors.push(error);
    const isInjected = this.faulty.injected.some((each) => causes(error).includes(each));
    if (!isInjected) this.#wrong ??= `an error that does not say why: ${String(error)}`;
  }

  #faultOfErrors(): string | undefined {
    // A bitmap is read ahead for nobody, and read again by whoever needs it: what that gives is held against the model.
    const mustBeHeard = this.faulty.injected.some(({ message }) => !message.endsWith(', read'));
    if (mustBeHeard && this.#errors.length === 0) return 'nobody heard of the failure';
    return undefined;
  }

  /** What is wrong with files that crashes would leave now. */
  async #faultLeft(): Promise<string | undefined> {
    for (const [pick, loss] of LOSSES.entries()) {
      const file = this.#storage.crash(loss, new Random(mix(this.#program.seed, pick)));
      const key = `${file.key} ${this.#history.serial} ${loss === 'killed'}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      const expectation = this.#history.expectation();
      const isWhole = endsInFooter(this.#program.subject.image);
      const text = await faultOf({ file, expectation, loss, moment: 0, pick, isWhole, program: this.#program });
      if (text !== undefined) return `${text}, after a crash (${loss})`;
    }
    return undefined;
  }
}

function isPoisoned(error: unknown): boolean {
  return error instanceof VhdError && error.code === 'ERR_VHD_POISONED';
}

/** An error and what caused it. */
function causes(error: unknown): unknown[] {
  const found: unknown[] = [];
  for (let each = error; each !== undefined; each = each instanceof Error ? each.cause : undefined) found.push(each);
  return found;
}
