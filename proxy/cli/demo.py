"""stand-in"""

import click


@click.command()
def demo() -> None: ...
