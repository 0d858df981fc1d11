"""``symroute-nm generate``: plan, show the difference, and write."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from symroute_nm.cli.options import (
    APPLY,
    CONFIG,
    FORCE,
    FORWARDED,
    JOBS,
    JSON,
    ROOT,
    SHOW_DIFF,
    SNAPSHOTS,
    TABLE_NAMES,
    Confirmation,
    PlanOptions,
    expand_groups,
)
from symroute_nm.cli.terminal import progress, say, write, write_json, write_lines
from symroute_nm.errors import FINDING, InputError
from symroute_nm.workflow.inputs import hold_kernel, read_settings

if TYPE_CHECKING:
    from symroute_nm.workflow.fleet import Order, Outcome
    from symroute_nm.workflow.generate import Generated, Request


@expand_groups
def generate(
    *,
    root: Path = ROOT,
    host: Optional[Path] = SNAPSHOTS,
    jobs: int = JOBS,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
    plan: PlanOptions,
    table_names: Optional[bool] = TABLE_NAMES,
    forwarded: Optional[bool] = FORWARDED,
    dry_run: bool = SHOW_DIFF,
    check: bool = typer.Option(False, "--check", help="Exit 1 if it would change something."),
    prune: bool = typer.Option(
        False, "--prune", help="Remove the blocks of links that are no uplinks now."
    ),
    convert: bool = typer.Option(
        False, "--convert", help="Rewrite ADDRESSn= route files in ip form."
    ),
    force: bool = FORCE,
    apply: bool = APPLY,
    confirmation: Confirmation,
) -> int:
    """Plan, show the difference, and write the route, rule and rt_tables files."""
    from symroute_nm.model.settings import GenerateOptions
    from symroute_nm.workflow import generate

    options = plan.with_marks(forwarded, table_names)
    manner = GenerateOptions(
        dry_run=dry_run or check, check=check, prune=prune, convert=convert, force=force
    )
    if apply and host is not None:
        raise InputError(
            "--apply changes this machine, --host plans for another", "give one of them"
        )
    if host is not None and host.is_dir():
        from symroute_nm.report.results import summary
        from symroute_nm.workflow.fleet import Order

        return _generate_fleet(Order(host, root, config, options, manner, summary, as_json, jobs))
    settings = read_settings(root, config, options)
    request = generate.Request(root, host, settings, options, manner, quiet=as_json)
    if not apply:
        return _report(request, generate.generate(request, say, write))
    from symroute_nm.cli import countdown

    with hold_kernel(root, say, dry_run=manner.dry_run):
        make = countdown.prepare(confirmation)
        return _report(request, generate.generate(request, say, write, make))


def _report(request: "Request", done: "Generated") -> int:
    from symroute_nm.report import activation, results

    manner, made = request.manner, done.made
    finding = manner.check and made.changed
    code = FINDING if finding else 0
    if request.quiet:
        write_json(
            {
                **results.summary(made, done.commands, manner.dry_run),
                **results.kernel_json(done.change),
            }
        )
        return code
    if not manner.dry_run:
        write_lines([*results.change_lines(made.changes), *results.written_lines(done.written)])
        write_lines([alteration.text for alteration in made.alterations])
        write_lines(results.skip_lines(made.plan.skips))
        write_lines(results.verdict_lines(made))
        write_lines(activation.command_lines([] if done.change else done.commands))
    write_lines(results.kernel_lines(done.change, manner.dry_run))
    return code


def _generate_fleet(order: "Order") -> int:
    """The exit code: 1 if any host failed, or `--check` would change any."""
    from symroute_nm.workflow.fleet import find_snapshots, plan_fleet

    names = find_snapshots(order)
    codes: List[bool] = []
    with progress(len(names)) as advance, contextlib.closing(plan_fleet(names, order)) as outcomes:
        for outcome in outcomes:
            _tell(outcome, order, first=not codes)
            codes.append(bool(outcome.code))
            advance(outcome.summary is None)
    if order.as_json:
        write("\n]\n")
    return FINDING if any(codes) else 0


def _tell(outcome: "Outcome", order: "Order", first: bool) -> None:
    from symroute_nm.report import fleet

    say(*(f"{outcome.host}: {note}" for note in outcome.notes if not order.as_json))
    if outcome.summary is None:
        say(*(f"{outcome.host}: failed: {line}" for line in outcome.error.splitlines()))
    if order.as_json:
        import json  # people's output does without

        separator = "[" if first else ","
        write(f"{separator}\n{json.dumps(fleet.as_json(outcome))}")
        return
    write(outcome.diff)
    if outcome.summary is not None:
        write_lines([fleet.describe(outcome)])
