import type { CompletionModel, Offer, OptionModel, VerbModel } from './completion-model.ts';

/** Words for `compgen`, or what stands for files, directories and nothing. */
function offered(offer: Offer): string {
  return offer.kind === 'words' ? offer.words.join(' ') : `@${offer.kind}`;
}

function flagsOf(options: readonly OptionModel[]): string {
  return options.flatMap(({ flags }) => flags).join(' ');
}

function valueCases({ name, options }: VerbModel): string[] {
  return options.flatMap(({ flags, value }) => {
    if (value === undefined) return [];
    return [`    ${flags.map((flag) => `'${name} ${flag}'`).join(' | ')}) offer='${offered(value)}' ;;`];
  });
}

function operandCases({ name, operands }: VerbModel): string[] {
  return operands.map(
    ({ offer, isRepeated }, index) => `    '${name} '${isRepeated ? '*' : index}) offer='${offered(offer)}' ;;`,
  );
}

/** Goes through the words before the cursor, then offers what fits there; what is a file is left to readline. */
const COMPLETE = `_vhd() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" verb='' pending='' ended='' offer='' word='' index=0 place=0
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    if [[ $word == '=' && -n $pending ]]; then
      continue
    elif [[ -n $pending ]]; then
      pending=''
    elif [[ -z $ended && $word == '--' ]]; then
      ended=1
    elif [[ -z $ended && $word == -?* ]]; then
      _vhd_value "$verb $word"
      if [[ -n $offer ]]; then pending=$word; fi
    elif [[ -z $verb ]]; then
      verb=$word
    else
      place=$((place + 1))
    fi
  done
  COMPREPLY=()
  if [[ $cur == '=' ]]; then cur=''; fi
  if [[ -n $pending ]]; then
    _vhd_value "$verb $pending"
  elif [[ -z $ended && $cur == -* ]]; then
    _vhd_options "$verb"
  else
    _vhd_operand "$verb $place"
  fi
  case $offer in
    @file) return ;;
    @directory) compopt +o bashdefault +o default -o dirnames 2> /dev/null || : ;;
    @nothing) compopt +o bashdefault +o default 2> /dev/null || : ;;
    *)
      compopt +o bashdefault +o default 2> /dev/null || :
      COMPREPLY=($(compgen -W "$offer" -- "$cur")) || :
      ;;
  esac
  return 0
}
`;

/** The script for bash, from version 3.2 on. Readline completes files: it knows about quotes and spaces. */
export function bashScript({ verbs, options }: CompletionModel): string {
  const names = verbs.map(({ name }) => name).join(' ');
  return `# Completion of vhd for bash, made by: vhd completion bash

_vhd_options() {
  case $1 in
    '') offer='${flagsOf(options)}' ;;
${verbs.map((verb) => `    ${verb.name}) offer='${flagsOf(verb.options)}' ;;`).join('\n')}
    *) offer='' ;;
  esac
}

# What follows an option; nothing for options that stand alone.
_vhd_value() {
  case $1 in
${verbs.flatMap(valueCases).join('\n')}
    *) offer='' ;;
  esac
}

# What a verb takes, by place.
_vhd_operand() {
  case $1 in
    ' 0') offer='${names}' ;;
${verbs.flatMap(operandCases).join('\n')}
    *) offer='@nothing' ;;
  esac
}

${COMPLETE}
complete -o bashdefault -o default -F _vhd vhd
`;
}
