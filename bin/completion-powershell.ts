import type { CompletionModel, OptionModel, VerbModel } from './completion-model.ts';

/** In single quotes, where only the quote itself means anything. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function list(words: readonly string[]): string {
  return `@(${words.map(quoted).join(', ')})`;
}

function optionRows(options: readonly OptionModel[]): string[] {
  return options.flatMap(({ flags, description }) => flags.map((flag) => `${quoted(flag)} = ${quoted(description)}`));
}

function optionTable({ name, options }: VerbModel): string {
  const rows = optionRows(options).map((row) => `\n            ${row}`);
  return `        ${quoted(name)} = [ordered]@{${rows.join('')}\n        }`;
}

/** Values of options and operands that are one of a few words; an empty list where nothing can be offered. */
function valueRows({ name, options, operands }: VerbModel): string[] {
  const ofOptions = options.flatMap(({ flags, value }) => {
    if (value === undefined || value.kind === 'file' || value.kind === 'directory') return [];
    return flags.map(
      (flag) => `        ${quoted(`${name} ${flag}`)} = ${list(value.kind === 'words' ? value.words : [])}`,
    );
  });
  const ofOperands = operands.flatMap(({ offer }, index) =>
    offer.kind === 'words' ? [`        ${quoted(`${name} ${index}`)} = ${list(offer.words)}`] : [],
  );
  return [...ofOptions, ...ofOperands];
}

function valuedFlags({ name, options }: VerbModel): string[] {
  return options.flatMap(({ flags, value }) => (value === undefined ? [] : flags.map((flag) => `${name} ${flag}`)));
}

/** The script for PowerShell, which offers files by itself where a completer offers nothing. */
export function powershellScript({ verbs, options }: CompletionModel): string {
  return `# Completion of vhd for PowerShell, made by: vhd completion powershell

Register-ArgumentCompleter -Native -CommandName 'vhd' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $verbs = [ordered]@{
${verbs.map(({ name, summary }) => `        ${quoted(name)} = ${quoted(summary)}`).join('\n')}
    }
    $options = @{
        '' = [ordered]@{
${optionRows(options)
  .map((row) => `            ${row}`)
  .join('\n')}
        }
${verbs.map(optionTable).join('\n')}
    }
    $values = @{
${verbs.flatMap(valueRows).join('\n')}
    }
    $valued = ${list(verbs.flatMap(valuedFlags))}

    $verb = ''
    $pending = ''
    $place = 0
    $before = $commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        Select-Object -Skip 1 | ForEach-Object { $_.Extent.Text }
    foreach ($word in $before) {
        if ($pending) { $pending = '' }
        elseif ($word.StartsWith('-') -and $word -ne '-') {
            if ($valued -ccontains "$verb $word") { $pending = $word }
        }
        elseif (-not $verb) { $verb = $word }
        else { $place++ }
    }

    $offered = [ordered]@{}
    if ($pending) {
        foreach ($value in $values["$verb $pending"]) { $offered[$value] = $value }
    }
    elseif ($wordToComplete.StartsWith('-')) {
        if ($options.ContainsKey($verb)) { $offered = $options[$verb] }
    }
    elseif (-not $verb) { $offered = $verbs }
    else {
        foreach ($value in $values["$verb $place"]) { $offered[$value] = $value }
    }

    foreach ($entry in $offered.GetEnumerator()) {
        if ($entry.Key -clike "$wordToComplete*") {
            [System.Management.Automation.CompletionResult]::new($entry.Key, $entry.Key, 'ParameterValue', $entry.Value)
        }
    }
}
`;
}
