import type { CompletionModel, Offer, OperandModel, OptionModel, VerbModel } from './completion-model.ts';

/** In single quotes, where nothing but these means anything. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Text in an argument of `_arguments`, where brackets and colons mean something. */
function escaped(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, '\\$&');
}

function action(offer: Offer): string {
  if (offer.kind === 'words') return `(${offer.words.join(' ')})`;
  return { file: '_files', directory: '_files -/', nothing: ' ' }[offer.kind];
}

function optionSpecs({ flags, description, value, valueName }: OptionModel): string[] {
  const others = flags.length > 1 ? `(${flags.join(' ')})` : '';
  return flags.map((flag) => {
    const takes = flag.startsWith('--') ? '=' : '+';
    const follows = value === undefined ? '' : `:${escaped(valueName)}:${action(value)}`;
    return quoted(`${others}${flag}${value === undefined ? '' : takes}[${escaped(description)}]${follows}`);
  });
}

function operandSpec({ name, offer, isRepeated }: OperandModel, index: number): string {
  return quoted(`${isRepeated ? '*' : index + 1}:${escaped(name)}:${action(offer)}`);
}

function verbCase({ name, options, operands }: VerbModel): string {
  const specs = [...options.flatMap(optionSpecs), ...operands.map(operandSpec)];
  return `        ${name})\n          _arguments -s -S ${specs.map((spec) => `\\\n            ${spec} `).join('')}&& ret=0\n          ;;`;
}

/** The script for zsh: a file for a folder of `fpath`, or to be sourced. */
export function zshScript({ verbs, options }: CompletionModel): string {
  const names = verbs.map(({ name, summary }) => `        ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`);
  return `#compdef vhd
# Completion of vhd for zsh, made by: vhd completion zsh

_vhd() {
  local context state state_descr line ret=1
  typeset -A opt_args
  _arguments -C ${options.flatMap(optionSpecs).join(' ')} '1:verb:->verb' '*::argument:->argument' && ret=0
  case $state in
    verb)
      local -a verbs
      verbs=(
${names.join('\n')}
      )
      _describe -t verbs verb verbs && ret=0
      ;;
    argument)
      case $words[1] in
${verbs.map(verbCase).join('\n')}
      esac
      ;;
  esac
  return ret
}

if [[ \${funcstack[1]-} == _vhd ]]; then
  _vhd "$@"
else
  compdef _vhd vhd
fi
`;
}
