"""``symroute-nm generate``: plan, show the difference, and write."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Optional

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
        False, "--convert", help="Rewrite routes of yours that ip cannot take."
    ),
    force: bool = FORCE,
    apply: bool = APPLY,
    confirmation: Confirmation,
) -> int:
    """Plan, show the difference, and write the route, rule and rt_tables files."""
    from symroute_nm.model.settings import GenerateOptions
    from symroute_nm.workflow import generate
    from symroute_nm.workflow.inputs import hold_kernel, read_settings

    options = plan.with_marks(forwarded, table_names)
    generate_options = GenerateOptions(
        dry_run=dry_run or check, check=check, prune=prune, convert=convert, force=force
    )
    if apply and host is not None:
        raise InputError(
            "--apply changes this machine, --host plans for another", "give one of them"
        )
    if host is not None and host.is_dir():
        from symroute_nm.report.generation import summary
        from symroute_nm.workflow.fleet import Order

        order = Order(host, root, config, options, generate_options, summary, as_json, jobs)
        return _generate_fleet(order)
    settings = read_settings(root, config, options)
    request = generate.Request(root, host, settings, options, generate_options, quiet=as_json)
    if not apply:
        return _report(request, generate.generate(request, say, write))
    from symroute_nm.cli import countdown

    with hold_kernel(root, say, dry_run=generate_options.dry_run):
        make = countdown.prepare(confirmation)
        return _report(request, generate.generate(request, say, write, make))


def _report(request: "Request", generated: "Generated") -> int:
    from symroute_nm.report import changes, generation, links

    options, proposal = request.generate_options, generated.proposal
    code = FINDING if options.check and proposal.changed else 0
    if request.quiet:
        write_json(
            {
                **generation.summary(proposal, generated.commands, options),
                **changes.kernel_json(generated.kernel_change),
            }
        )
        return code
    if not options.dry_run:
        write_lines(changes.change_lines(proposal.changes))
        write_lines(changes.written_lines(generated.written))
        write_lines(change.text for change in proposal.uplink_changes)
        write_lines(links.skip_lines(proposal.plan.skips))
        write_lines(generation.verdict_lines(proposal))
        if not generated.kernel_change:
            write_lines(generation.command_lines(generated.commands))
    write_lines(changes.kernel_lines(generated.kernel_change, dry_run=options.dry_run))
    return code


def _generate_fleet(order: "Order") -> int:
    """The exit code: 1 if any host failed, or `--check` would change any."""
    from symroute_nm.workflow.fleet import find_snapshots, plan_fleet

    names = find_snapshots(order)
    code = 0
    first = True
    with progress(len(names)) as advance, contextlib.closing(plan_fleet(names, order)) as outcomes:
        for outcome in outcomes:
            _tell(outcome, order, first=first)
            first = False
            if outcome.code:
                code = FINDING
            advance(outcome.summary is None)
    if order.as_json:
        write("\n]\n")
    return code


def _tell(outcome: "Outcome", order: "Order", *, first: bool) -> None:
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
