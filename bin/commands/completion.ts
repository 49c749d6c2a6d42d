import type { Command } from 'commander';
import { bashScript } from '../completion-bash.ts';
import { fishScript } from '../completion-fish.ts';
import { type CompletionModel, completionModel } from '../completion-model.ts';
import { powershellScript } from '../completion-powershell.ts';
import { zshScript } from '../completion-zsh.ts';
import { addExamples, oneOf } from '../flags.ts';
import type { Session } from '../session.ts';
import { declaredVerb, VERBS } from '../verbs.ts';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

type Shell = (typeof SHELLS)[number];

const SCRIPTS: Readonly<Record<Shell, (model: CompletionModel) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
  powershell: powershellScript,
};

const WHERE = `
Where it goes, for every shell to come:
  bash        ~/.local/share/bash-completion/completions/vhd
  zsh         _vhd in a folder of fpath; then rm -f ~/.zcompdump and a new shell
  fish        ~/.config/fish/completions/vhd.fish
  powershell  at the end of the file that $PROFILE names`;

/** Declares `completion SHELL`. */
export function declare(command: Command, session: Session): void {
  command.argument('<shell>', 'bash, zsh, fish or powershell', oneOf('SHELL', SHELLS)).addHelpText('after', WHERE);
  addExamples(
    command,
    'source <(vhd completion bash)',
    'vhd completion zsh > _vhd',
    'vhd completion fish > vhd.fish',
    'vhd completion powershell >> profile.ps1',
  );
  command.action((shell: Shell) => completion(session, shell));
}

/** The script says what this version has: all verbs are declared for it. */
async function completion(session: Session, shell: Shell): Promise<void> {
  const verbs = await Promise.all(Object.keys(VERBS).map((name) => declaredVerb(name, session)));
  await session.print(SCRIPTS[shell](completionModel(verbs)));
}
