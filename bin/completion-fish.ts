import type { CompletionModel, Offer, OptionModel, VerbModel } from './completion-model.ts';

/** In single quotes, where only the quote itself and the backslash mean anything. */
function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}

function offered(offer: Offer): string {
  if (offer.kind === 'words') return ` -a ${quoted(offer.words.join(' '))}`;
  return offer.kind === 'directory' ? " -a '(__fish_complete_directories)'" : '';
}

function optionLine(condition: string, { flags, description, value }: OptionModel): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`)).join('');
  const takes = value === undefined ? '' : value.kind === 'file' ? ' -r -F' : ` -x${offered(value)}`;
  return `complete -c vhd -n ${quoted(condition)}${names}${takes} -d ${quoted(description)}`;
}

/** Files are what fish offers by itself; a verb that takes none says so. */
function verbLines({ name, options, operands }: VerbModel): string[] {
  const condition = `__fish_seen_subcommand_from ${name}`;
  const takesFiles = operands.some(({ offer }) => offer.kind === 'file');
  const others = operands.filter(({ offer }) => offer.kind === 'words' || offer.kind === 'directory');
  const noFiles = takesFiles ? [] : [`complete -c vhd -n ${quoted(condition)} -f`];
  return [
    ...noFiles,
    ...others.map(({ offer }) => `complete -c vhd -n ${quoted(condition)}${offered(offer)}`),
    ...options.map((option) => optionLine(condition, option)),
  ];
}

/** The script for fish. */
export function fishScript({ verbs, options }: CompletionModel): string {
  const start = '__fish_use_subcommand';
  const lines = [
    `complete -c vhd -n ${start} -f`,
    ...verbs.map(({ name, summary }) => `complete -c vhd -n ${start} -a ${name} -d ${quoted(summary)}`),
    ...options.map((option) => optionLine(start, option)),
    ...verbs.flatMap(verbLines),
  ];
  return `# Completion of vhd for fish, made by: vhd completion fish\n\n${lines.join('\n')}\n`;
}
