"""``rbee completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  eval "$(rbee completion bash)"      in ~/.bashrc
    zsh:   eval "$(rbee completion zsh)"       in ~/.zshrc
    fish:  rbee completion fish > ~/.config/fish/completions/rbee.fish
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"There is no completion for {shell!r}.")
    root = click.get_current_context().find_root().command
    try:
        click.echo(kind(root, {}, "rbee", "_RBEE_COMPLETE").source())
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
