"""`doit tabcompletion`: a script for bash, zsh or fish, which asks `doit complete` at each Tab."""

from __future__ import annotations

from pathlib import Path

from tasks.core.errors import ConfigError
from tasks.core.graph.commands import Typed
from tasks.core.nearest import hint

SCRIPTS = {"bash": "completion.bash", "zsh": "completion.zsh", "fish": "completion.fish"}


def tabcompletion(typed: Typed) -> int:
    """Print the script."""
    shell = typed.words[0] if typed.words else "bash"
    if shell not in SCRIPTS:
        raise ConfigError(f"there is no completion for {shell!r}{hint(shell, SCRIPTS)}",
                          todo=f"doit tabcompletion {'|'.join(SCRIPTS)}")
    print(Path(__file__).with_name(SCRIPTS[shell]).read_text(), end="")
    return 0
