"""``kmc-oxy completion``: a script for bash or zsh that completes commands, options and files."""

from __future__ import annotations

import argparse

from kmc_oxy.cli.exit_codes import EXIT_DONE

#: In zsh the script of bash runs under its own emulation.
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"
_SCRIPT = """\
_kmc_oxy() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{commands}"
  else
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _kmc_oxy kmc-oxy
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print a script that completes the commands and options of kmc-oxy: "
        'eval "$(kmc-oxy completion bash)" in ~/.bashrc, or with zsh in ~/.zshrc.'
    )
    parser.add_argument("shell", choices=("bash", "zsh"))


def execute(arguments: argparse.Namespace) -> int:
    from kmc_oxy.cli.parser import words_of_commands

    words = words_of_commands()
    cases = "\n".join(f'      {name}) words="{" ".join(w)}" ;;' for name, w in words.items())
    script = _SCRIPT.format(commands=" ".join(words), cases=cases)
    print((_ZSH if arguments.shell == "zsh" else "") + script, end="")
    return EXIT_DONE
