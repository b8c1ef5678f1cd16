"""Commands on what is kept: migrate, rebuild, verify, gc."""

import typer

app = typer.Typer(
    help="Look after the catalogue and the archive.", no_args_is_help=True, rich_markup_mode=None
)
