import { Command, CommanderError, type Option } from 'commander';
import { UsageError } from './errors.ts';
import { type Io, type Output, Session } from './session.ts';
import { declaredVerb, isVerb, unaliased, VERBS } from './verbs.ts';
import { asksForVersionReport, version } from './version.ts';

const EXIT_CODES = `
Exit codes: 0 fine, 1 the answer is no, 2 usage, or the output exists,
  3 unacceptable input, 4 the system failed, 70 a defect in vhd.`;

const AFTER_HELP = `
Sizes are bytes, or have K, M, G, T (powers of 1024), such as 20G.
- is standard input or output.
${EXIT_CODES}

Example:
  vhd convert disk.raw disk.vhd && vhd info disk.vhd`;

/** Lines that are longer are hard to read, however wide a terminal is. */
const MAX_HELP_COLUMNS = 100;

/** Runs the command and resolves to its exit code. Never rejects: failures are told on standard error. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const session = new Session(io, asksForJson(argv));
  try {
    if (asksForVersionReport(argv)) await (await import('./version-report.ts')).printVersionReport(session);
    else await parse(argv, session);
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

async function parse(called: readonly string[], session: Session): Promise<void> {
  const argv = unaliased(called);
  const help = { out: '', error: '' };
  const program = newProgram(help, session.io);
  const asked = argv[0] === 'help' ? argv[1] : argv[0];
  await declareVerbs(program, session, asked);
  try {
    await program.parseAsync(wordsFor(argv, asked), { from: 'user' });
  } catch (error) {
    if (error instanceof UsageError || isFailure(error)) throw await betterAnswer(error, { argv, program, session });
    if (!(error instanceof CommanderError)) throw error;
    session.exitWith(error.exitCode === 0 ? 0 : 2);
  }
  if (help.out !== '') await session.print(help.out);
  if (help.error !== '') await session.note(help.error);
}

/** All verbs by name, so that help lists them; options and action only of the one that is asked for. */
async function declareVerbs(program: Command, session: Session, asked: string | undefined): Promise<void> {
  for (const [name, verb] of Object.entries(VERBS)) {
    const command = program.command(name).summary(verb.summary);
    if (name !== asked) continue;
    session.called = `vhd ${name}`;
    command.description(`${verb.summary.charAt(0).toUpperCase()}${verb.summary.slice(1)}.`);
    command.helpOption('-h, --help', 'print this help');
    command.addHelpText('after', EXIT_CODES);
    (await verb.load()).declare(command, session);
    session.flags = command.options.flatMap(({ long }) => long ?? []);
  }
}

/** Help on what does not exist would be help on something else: an unknown verb is an error, whatever follows it. */
function isUnknown(asked: string): boolean {
  return !asked.startsWith('-') && asked !== 'help' && !isVerb(asked);
}

/** What commander is to see: an unknown verb alone, and help on help as help. */
function wordsFor(argv: readonly string[], asked: string | undefined): readonly string[] {
  if (asked !== undefined && isUnknown(asked)) return [asked];
  const isHelpOnHelp = argv[0] === 'help' && (asked === 'help' || asked?.startsWith('-'));
  return isHelpOnHelp === true ? ['help'] : argv;
}

/** Help and version end the same way as failures do, only that something is printed. */
function isFailure(error: unknown): error is CommanderError {
  return error instanceof CommanderError && error.code !== 'commander.help' && error.exitCode !== 0;
}

/** Whoever calls the command like another program, or like none, is told how it is called. */
async function betterAnswer(
  error: UsageError | CommanderError,
  { argv, program, session }: { argv: readonly string[]; program: Command; session: Session },
): Promise<UsageError> {
  const { foreignAnswer } = await import('./foreign.ts');
  const optionsOf = async (verb: string): Promise<readonly Option[]> => (await declaredVerb(verb, session)).options;
  const answer = await foreignAnswer(argv[0] === 'help' ? argv.slice(1) : argv, { has: isVerb, optionsOf });
  return answer ?? (error instanceof UsageError ? error : usageErrorOf(error, program));
}

/** The program without its verbs; it ends by throwing, and leaves its help in `help`. */
function newProgram(help: { out: string; error: string }, io: Io): Command {
  return new Command('vhd')
    .description('Read, write, convert and inspect VHD disk images.')
    .usage('<verb> [options]')
    .version(version(), '-V, --version', 'print the version; with --verbose, also what it runs on and with')
    .helpOption('-h, --help', 'print help; that of a verb has examples')
    .helpCommand('help [verb]', 'print the help of a verb')
    .addHelpText('after', AFTER_HELP)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => (help.out += text),
      writeErr: (text) => (help.error += text),
      getOutHelpWidth: () => helpColumns(io.stdout),
      getErrHelpWidth: () => helpColumns(io.stderr),
      // Told by the session, in one form with all other failures.
      outputError: () => undefined,
    });
}

/** As wide as a terminal is, within what can be read; 80 columns for everything else. */
function helpColumns({ isTTY, columns = 0 }: Output): number {
  return isTTY === true && columns >= 40 ? Math.min(columns, MAX_HELP_COLUMNS) : 80;
}

/** "error: unknown option '--forse'", newline, "(Did you mean --force?)" becomes a sentence and what to do. */
function usageErrorOf(error: CommanderError, program: Command): UsageError {
  const [first = '', second = ''] = error.message.split('\n');
  const suggestion = /^\((.*)\)$/.exec(second)?.[1];
  const verb = program.commands.find((command) => command.args.length > 0 || command.registeredArguments.length > 0);
  if (verb !== undefined && /^commander\.(missingArgument|excessArguments)$/.test(error.code)) {
    return operandError(verb);
  }
  const valueless = /^error: option '(?:-\w, )?(\S+) .*' argument missing$/.exec(first)?.[1];
  if (valueless !== undefined) return new UsageError(`${valueless}: its value is missing`);
  return new UsageError(first.replace(/^error: /, ''), suggestion?.replace(/^Did/, 'did'));
}

/** Too few or too many words behind a verb. */
function operandError(verb: Command): UsageError {
  const names = verb.registeredArguments.map((argument) => argument.name().toUpperCase());
  const form = verb.registeredArguments.map((argument, index) => {
    const name = `${names[index] ?? ''}${argument.variadic ? '...' : ''}`;
    return argument.required ? name : `[${name}]`;
  });
  const remedy = `vhd ${verb.name()} ${form.join(' ')}; vhd ${verb.name()} --help shows the options`;
  const extra = verb.args[names.length];
  if (extra !== undefined) return new UsageError(`'${extra}' is one word too many`, remedy);
  const missing = names[verb.args.length] ?? '';
  return new UsageError(`${missing} is missing`, remedy);
}
