"""Writes the man pages and the completion: documents.py BUNDLE DESTINATION

Commands, options and their help come from the Typer application, keys from the example
configuration: the templates beside this file hold only what those do not say.
"""

import re
import sys
from pathlib import Path
from typing import Any, List, NamedTuple, Sequence

HERE = Path(__file__).resolve().parent
TEMPLATES = ("symroute-nm.8", "symroute-nm.conf.5", "symroute-nm.bash")


class Option(NamedTuple):
    """An option or an argument, as the application declares it."""

    names: Sequence[str]  # --dry-run, -n; none: an argument
    value: str  # FILE; "" where it takes none
    help: str
    required: bool = False

    @property
    def long(self) -> List[str]:
        """Its names that are spelt out."""
        return [name for name in self.names if name.startswith("--")]

    @property
    def choices(self) -> List[str]:
        """The values that it takes, where its placeholder lists them (auto|rules, not FILE|DIR)."""
        return self.value.split("|") if "|" in self.value and self.value.islower() else []


class Command(NamedTuple):
    """A command of the application."""

    name: str
    help: str
    arguments: List[Option]
    options: List[Option]


class Key(NamedTuple):
    """A key of the configuration file: its example (``guard = auto``) and explanation."""

    example: str
    text: str
    section: str  # the header above it, commented out or not

    @property
    def name(self) -> str:
        """What stands before the equals sign."""
        return self.example.partition("=")[0].strip()


def main() -> None:
    """Render every template."""
    bundle, destination = Path(sys.argv[1]), Path(sys.argv[2])
    # After the standard library: what is bundled for Python 3.6 gives way to what later ones have.
    sys.path += [str(HERE.parent), str(bundle)]
    documented = commands()
    words = {
        "commands": documented,
        "shared": shared(documented),
        "keys": keys((HERE / "symroute-nm.conf").read_text("utf-8")),
        "version": __import__("symroute_nm").__version__,
    }
    destination.mkdir(parents=True, exist_ok=True)
    for name in TEMPLATES:
        text = environment().get_template(f"{name}.j2").render(**words)
        (destination / name).write_text(text, "utf-8")


def environment() -> Any:
    """Jinja with what roff needs."""
    import jinja2

    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(HERE)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # neither roff nor bash is HTML
    )
    jinja.filters["roff"] = roff
    return jinja


def roff(text: str) -> str:
    """Text that troff shows as it is, with hyphens that can be copied (groff_char(7))."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)


def commands() -> List[Command]:
    """The application's commands in its own order, each with -h."""
    import typer.main

    from symroute_nm.cli.main import app

    group: Any = typer.main.get_command(app)
    context = group.make_context("symroute-nm", [], resilient_parsing=True)
    found = [Command("", str(group.help), [], options(group, context))]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append(
            Command(
                name,
                str(command.help),
                [
                    argument(parameter)
                    for parameter in command.params
                    if parameter.param_type_name == "argument"
                ],
                options(command, context),
            )
        )
    return found


def shared(documented: Sequence[Command]) -> List[Option]:
    """The options that several commands declare alike, in the order of their first appearance."""
    declared: List[Option] = []
    for command in documented:
        declared += command.options
    return [
        option
        for index, option in enumerate(declared)
        if declared.count(option) > 1 and option not in declared[:index]
    ]


def argument(parameter: Any) -> Option:
    """What stands without a dash."""
    name = parameter.metavar or parameter.name.upper()
    return Option((), name, parameter.help or "", parameter.required)


def options(command: Any, context: Any) -> List[Option]:
    """Its options, hidden ones left out."""
    found = []
    for option in command.get_params(context):
        if option.param_type_name == "option" and not option.hidden:
            names = [*option.opts, *option.secondary_opts]
            names.sort(key=lambda name: name.startswith("--"))
            bare = option.is_flag or option.count
            value = "" if bare else option.metavar or option.type.name.upper()
            found.append(Option(names, value, (option.help or "") + default(option)))
    return found


def default(option: Any) -> str:
    """A sentence on what it is if it is not given, where there is more to say than nothing."""
    value = option.default
    if option.is_flag or not option.show_default or isinstance(value, (list, tuple)) or not value:
        return ""
    shortest = f"{value:g}" if isinstance(value, float) else value
    return f" Default: {shortest}."


def keys(text: str) -> List[Key]:
    """The keys of the example configuration with the comment above each."""
    found: List[Key] = []
    comment: List[str] = []
    section = ""
    for line in text.splitlines():
        header = re.match(r"#?(\[.*\])\Z", line)
        example = re.match(r"#([a-z][a-z-]* = .*)\Z", line)
        if example:
            found.append(Key(example.group(1), " ".join(comment), section))
        elif header:
            section = header.group(1)
        comment = [*comment, line[2:]] if line.startswith("# ") else []
    return found


if __name__ == "__main__":
    main()
