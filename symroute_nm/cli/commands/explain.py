"""``symroute-nm explain``: one packet's walk through rules and tables."""

from pathlib import Path
from typing import Optional

import typer

from symroute_nm.cli.options import CONFIG, FORWARDED, HOST, JSON, ROOT
from symroute_nm.cli.terminal import write_json, write_lines


def explain(
    source: str = typer.Argument(..., help="The packet's source address; any: not chosen yet."),
    destination: str = typer.Argument(..., help="Where it is to go."),
    iif: str = typer.Option("", "--iif", metavar="LINK", help="It came in by LINK."),
    mark: str = typer.Option("0", "--mark", metavar="N", help="Its firewall mark."),
    planned: bool = typer.Option(False, "--planned", help="As it would be after generate."),
    forwarded: Optional[bool] = FORWARDED,
    root: Path = ROOT,
    host: Optional[Path] = HOST,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Walk through the rules and tables for one packet, step by step."""
    from symroute_nm.model.settings import Options
    from symroute_nm.report import explanation
    from symroute_nm.workflow import query
    from symroute_nm.workflow.inputs import read_settings

    settings = read_settings(root, config, Options(forwarded=forwarded))
    question = query.Question(source, destination, iif=iif, mark=mark, planned=planned)
    explained = query.explain(root, host, settings, question)
    if as_json:
        write_json(explanation.as_json(explained))
    else:
        write_lines(explanation.lines(explained))
    return 0
