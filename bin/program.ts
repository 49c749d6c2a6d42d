import { Command, CommanderError, type Option } from 'commander';
import { UsageError } from './errors.ts';
import { type Io, Session } from './session.ts';
import { declaredVerb, isVerb, VERBS } from './verbs.ts';
import { version } from './version.ts';

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
    if (error instanceof UsageError || isFailure(error)) throw await betterAnswer(error, argv, session);
    if (!(error instanceof CommanderError)) throw error;
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
  return asked !== undefined && !asked.startsWith('-') && asked !== 'help' && !isVerb(asked);
}

/** Help and version end the same way as failures do, only that something is printed. */
function isFailure(error: unknown): error is CommanderError {
  return error instanceof CommanderError && error.code !== 'commander.help' && error.exitCode !== 0;
}

/** Whoever calls the command like another program, or like none, is told how it is called. */
async function betterAnswer(
  error: UsageError | CommanderError,
  argv: readonly string[],
  session: Session,
): Promise<UsageError> {
  const { foreignAnswer } = await import('./foreign.ts');
  const optionsOf = async (verb: string): Promise<readonly Option[]> => (await declaredVerb(verb, session)).options;
  const answer = await foreignAnswer(argv[0] === 'help' ? argv.slice(1) : argv, { has: isVerb, optionsOf });
  return answer ?? (error instanceof UsageError ? error : usageErrorOf(error));
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
    .enablePositionalOptions()
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
