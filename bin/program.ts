import { Command, CommanderError } from 'commander';
import { UsageError } from './errors.ts';
import { type Io, Session } from './session.ts';
import { version } from './version.ts';

/** What a verb's module has: it declares its options and its action. */
interface VerbModule {
  readonly declare: (command: Command, session: Session) => void;
}

interface Verb {
  readonly summary: string;
  readonly load: () => Promise<VerbModule>;
}

/** Loaded one at a time: a call pays for the verb it uses. */
const VERBS: Readonly<Record<string, Verb>> = {
  create: { summary: 'make an empty disk image', load: () => import('./commands/create.ts') },
  info: { summary: 'show everything about images', load: () => import('./commands/info.ts') },
  convert: { summary: 'convert between raw, fixed and dynamic images', load: () => import('./commands/convert.ts') },
  map: { summary: 'show where the data is', load: () => import('./commands/map.ts') },
  read: { summary: 'read bytes of the virtual disk', load: () => import('./commands/read.ts') },
  write: { summary: 'write bytes to the virtual disk', load: () => import('./commands/write.ts') },
  bench: { summary: 'measure write throughput, fixed against dynamic', load: () => import('./commands/bench.ts') },
};

const AFTER_HELP = `
Sizes are bytes, or have K, M, G, T (powers of 1024). - is standard input or output.
Exit codes: 0 fine, 1 the answer is no, 2 usage, 3 unacceptable input, 4 the system failed, 70 a defect in vhd.

Example:
  vhd convert disk.raw disk.vhd && vhd info disk.vhd
`;

/** Runs the command and resolves to its exit code. Never rejects: failures are told on standard error. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const session = new Session(io, asksForJson(argv));
  try {
    await parse(argv, session);
  } catch (error) {
    await session.fail(error);
  }
  return session.exitCode;
}

/** Known before anything is parsed, because a failure to parse has to be told in JSON too. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json');
}

async function parse(argv: readonly string[], session: Session): Promise<void> {
  const help = { out: '', error: '' };
  const program = newProgram(help);
  const asked = argv[0] === 'help' ? argv[1] : argv[0];
  await declareVerbs(program, session, asked);
  try {
    await program.parseAsync(isUnknown(asked) ? [asked] : argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (isFailure(error)) throw usageErrorOf(error);
    session.exitWith(error.exitCode === 0 ? 0 : 2);
  }
  if (help.out !== '') await session.print(help.out);
  if (help.error !== '') await session.note(help.error);
}

/** All verbs by name, so that help lists them; options and action only of the one that is asked for. */
async function declareVerbs(program: Command, session: Session, asked: string | undefined): Promise<void> {
  for (const [name, verb] of Object.entries(VERBS)) {
    const command = program.command(name).description(verb.summary);
    if (name !== asked) continue;
    session.called = `vhd ${name}`;
    (await verb.load()).declare(command, session);
  }
}

/** Help on what does not exist would be help on something else: an unknown verb is an error, whatever follows it. */
function isUnknown(asked: string | undefined): asked is string {
  return asked !== undefined && !asked.startsWith('-') && asked !== 'help' && !Object.hasOwn(VERBS, asked);
}

/** Help and version end the same way as failures do, only that something is printed. */
function isFailure(error: CommanderError): boolean {
  return error.code !== 'commander.help' && error.exitCode !== 0;
}

/** The program without its verbs; it ends by throwing, and leaves its help in `help`. */
function newProgram(help: { out: string; error: string }): Command {
  return new Command('vhd')
    .description('Read, write, convert and inspect VHD disk images.')
    .usage('<verb> [options]')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; that of a verb has examples')
    .helpCommand('help [verb]', 'print the help of a verb')
    .addHelpText('after', AFTER_HELP)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => (help.out += text),
      writeErr: (text) => (help.error += text),
      // Told by the session, in one form with all other failures.
      outputError: () => undefined,
    });
}

/** "error: unknown option '--forse'", newline, "(Did you mean --force?)" becomes a sentence and what to do. */
function usageErrorOf(error: CommanderError): UsageError {
  const [first = '', second = ''] = error.message.split('\n');
  const suggestion = /^\((.*)\)$/.exec(second)?.[1];
  return new UsageError(first.replace(/^error: /, ''), suggestion?.replace(/^Did/, 'did'));
}
