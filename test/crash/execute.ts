// Runs a program on a storage that can crash at any moment, and collects what crashes would leave.

import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { ArrayStorage } from '../support/array-storage.ts';
import { type CrashedFile, CrashStorage, type Loss } from '../support/crash-storage.ts';
import { contradiction, type Expectation, History } from '../support/history.ts';
import { turns } from '../support/probe-storage.ts';
import { mix, Random } from '../support/seed.ts';
import { bytesOf, type Program, type Step } from './program.ts';
import { endsInFooter } from './structure.ts';
import { openSubject, type Subject } from './subjects.ts';

/** A file that a crash could have left, and what must be in it. */
export interface CrashState {
  readonly file: CrashedFile;
  readonly expectation: Expectation;
  readonly loss: Loss;
  /** Which of the program's moments it was; `pick` says which of the crashes tried then. */
  readonly moment: number;
  readonly pick: number;
  /** True from when the image was opened, or if it was whole before. */
  readonly isWhole: boolean;
  /** How the disk was opened, and is to be opened again. */
  readonly program: Program;
}

/** What came of a run. */
export interface Run {
  /** No two of them are the same both in the file and in what it must hold. */
  readonly states: readonly CrashState[];
  /** What went wrong without a crash: a call that rejected, a read of wrong bytes. */
  readonly failure: string | undefined;
}

/** Runs a program to its close; at every moment `picks` crashes are tried. */
export async function execute(program: Program, picks: number): Promise<Run> {
  const runner = new Runner(program, picks);
  const failure = await runner.run().then(
    () => undefined,
    (error: unknown) => String(error),
  );
  return { states: runner.states, failure };
}

/** What the crashes tried at a moment leave after the first, which is that of a process. */
const POWER_LOSSES: readonly [Loss, ...Loss[]] = ['any-sectors', 'any-sectors', 'whole-writes', 'nothing-durable-only'];

/** From one beginning, of the program or after a crash, to the crash or the close that ends it. */
interface Epoch {
  readonly storage: CrashStorage;
  readonly history: History;
  readonly calls: Promise<void>[];
  disk: VhdDisk;
}

class Runner {
  readonly states: CrashState[] = [];
  readonly #program: Program;
  readonly #picks: number;
  readonly #seen = new Set<string>();
  #moment = 0;
  #epochCount = 0;
  #isWhole = false;

  constructor(program: Program, picks: number) {
    this.#program = program;
    this.#picks = picks;
  }

  async run(): Promise<void> {
    const { subject, steps } = this.#program;
    let epoch = await this.#begin(subject.image, subject.content);
    for (const step of steps) {
      if (step.kind === 'crash') {
        const image = this.#crash(epoch, step.loss);
        epoch = await this.#begin(image, await contentOfImage(image, subject));
      } else if (step.kind === 'reopen') {
        await this.#close(epoch);
        epoch.disk = await this.#open(epoch.storage);
      } else {
        const call = perform(step, epoch);
        call.catch(() => undefined);
        epoch.calls.push(call);
      }
      if (step.isAwaited) await Promise.all(epoch.calls);
      else await turns(step.turns);
    }
    await this.#close(epoch);
  }

  async #begin(image: Uint8Array, content: Uint8Array): Promise<Epoch> {
    const { subject, durability, seed } = this.#program;
    const storage = new CrashStorage(image, { discard: subject.discard });
    const history = new History(content, durability);
    const salt = mix(seed, ++this.#epochCount);
    // How long a call takes depends on nothing but the call, so that it stays when other steps are left away. A barrier
    // takes its time: whole writes begin and end while it runs.
    const longest = { read: 6, write: 12, flush: 120 };
    storage.delay = (name, position) => turns(new Random(mix(salt, position)).below(longest[name]));
    storage.onMoment = () => this.#collect(storage, history);
    this.#isWhole = endsInFooter(image);
    const disk = await this.#open(storage);
    this.#isWhole = true;
    return { storage, history, calls: [], disk };
  }

  #open(storage: CrashStorage): Promise<VhdDisk> {
    const { durability, limits, subject } = this.#program;
    return openSubject(storage, subject, { writable: true, durability, limits });
  }

  async #close({ storage, history, calls, disk }: Epoch): Promise<void> {
    await Promise.all(calls);
    const done = history.beginFlush();
    await disk.close();
    done();
    this.#collect(storage, history);
  }

  #collect(storage: CrashStorage, history: History): void {
    this.#moment++;
    for (let pick = 0; pick < this.#picks; pick++) {
      const random = new Random(mix(mix(this.#program.seed, this.#moment), pick));
      const loss = pick === 0 ? 'killed' : random.pick(POWER_LOSSES);
      this.#add(storage.crash(loss, random), history, loss, pick);
    }
  }

  #add(file: CrashedFile, history: History, loss: Loss, pick: number): void {
    const key = `${this.#epochCount} ${file.key} ${history.serial} ${loss === 'killed'}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const expectation = history.expectation();
    const [isWhole, program] = [this.#isWhole, this.#program];
    this.states.push({ file, expectation, loss, moment: this.#moment, pick, isWhole, program });
  }

  /** Ends an epoch: what is under way goes on with a storage that nobody looks at any more. */
  #crash({ storage, history }: Epoch, loss: Loss): Uint8Array {
    storage.onMoment = () => undefined;
    this.#moment++;
    const file = storage.crash(loss, new Random(mix(this.#program.seed, this.#moment)));
    this.#add(file, history, loss, 0);
    return file.toBytes();
  }
}

/** A step that is one call on an open disk. */
export type Call = Exclude<Step, { kind: 'crash' | 'reopen' }>;

/** Makes a call and notes how it ends. @throws Error if a read gives bytes that cannot be there */
export async function perform(step: Call, { disk, history }: Pick<Epoch, 'disk' | 'history'>): Promise<void> {
  if (step.kind === 'flush') {
    const done = history.beginFlush();
    await disk.flush();
    done();
    return;
  }
  const { position, length } = step;
  if (step.kind === 'read') {
    const expected = history.beginRead();
    const found = await disk.readBytes(position, length);
    const wrong = contradiction(expected(), found, position);
    if (wrong !== undefined) throw new Error(`a read while the disk is open: ${wrong}`);
    return;
  }
  const bytes = step.kind === 'write' ? bytesOf(step) : new Uint8Array(length);
  const outcome = history.begin(position, bytes);
  try {
    if (step.kind === 'write') await disk.write(bytes, position);
    else await disk.discard(position, length);
  } catch (error) {
    outcome.failed();
    throw error;
  }
  outcome.resolved();
}

async function contentOfImage(image: Uint8Array, subject: Subject): Promise<Uint8Array> {
  const disk = await openSubject(new ArrayStorage(image), subject);
  return disk.readBytes(0, disk.size);
}
