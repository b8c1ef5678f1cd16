"""Groups of commands, whose help says of each command a whole sentence."""

from typing import Any

from typer.core import TyperGroup

LONGEST = 300
"""Letters of a command's sentence."""


class Subcommands(TyperGroup):
    """As typer's, but what commands do is folded, and not cut at the end of a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and what each does."""
        known = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(n, one.get_short_help_str(LONGEST)) for n, one in known if one and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
