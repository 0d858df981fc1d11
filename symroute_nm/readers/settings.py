"""The configuration ``symroute-nm.conf`` and the command line's options -> `Settings`."""

import fnmatch
import ipaddress
import re
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from symroute_nm.errors import InputError, Refusal, shown
from symroute_nm.files import access
from symroute_nm.files.access import Tree
from symroute_nm.model.network import IPAddress
from symroute_nm.model.ours import is_usable_mask
from symroute_nm.model.settings import (
    InterfaceSettings,
    Options,
    Settings,
    TableChoice,
    check_choice,
)

_Setting = TypeVar("_Setting", bool, Optional[bool])

DEFAULT_PATH = "/etc/symroute-nm.conf"
GUARDS = ("auto", "rules", "throw", "none")
SOURCES = ("auto", "address", "network")

_MAIN_SECTION = "symroute"
_INTERFACE_PREFIX = "interface "
# fnmatch of Python before 3.9 tries all combinations of what each star may stand for.
_MOST_STARS = 4
# Characters of what a message quotes, and of what configparser says, which quotes the line.
_LONGEST_NAME, _LONGEST = 60, 300
# Four stages have to fit below main's own rule.
_PRIORITY_RANGE = range(1, 32763)


def read_settings(path: Path, *, required: bool = False) -> Settings:
    """The configuration file's settings; defaults where it does not exist and is not `required`.

    Raises `InputError` for anything in it that is not understood, `SystemFailure` if unreadable.
    """
    if not _is_there(path):
        if required:
            raise InputError(f"{path}: no such file", "check --config")
        return Settings()
    return _decoded(access.read_small(path), str(path))


def read_settings_below(root: Path) -> Settings:
    """As `read_settings`, of the configuration file below a root.

    Raises `InputError`, too, for a link that leads nowhere or out of the root.
    """
    with Tree(root) as tree:
        if not tree.may_have(DEFAULT_PATH):
            return Settings()
        try:
            tree.place(DEFAULT_PATH)
        except Refusal as refusal:
            raise InputError(refusal.message, "mend the link or remove it") from refusal
        return _decoded(access.read_below(tree, DEFAULT_PATH), tree.shown(DEFAULT_PATH))


def _decoded(content: bytes, where: str) -> Settings:
    try:
        return parse_settings(content.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8", "save it as UTF-8") from error


def _is_there(path: Path) -> bool:
    """Whether anything stands there; where that cannot be told, reading it will say why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _links_nowhere(path)
    except (OSError, ValueError):
        return True
    return True


def _links_nowhere(path: Path) -> bool:
    """False, unless that cannot be told; raises `InputError` for a link."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    raise InputError(f"{path}: a link to nowhere", "mend the link or remove it")


def parse_settings(text: str, where: str = DEFAULT_PATH) -> Settings:
    """The settings in a configuration's text; raises `InputError` with section and key."""
    import configparser  # only where there is a file

    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None, default_section=""
    )
    try:
        parser.read_string(text, where)
    except configparser.Error as error:
        reason = " ".join(str(error).split())
        raise InputError(reason[:_LONGEST], "mend that line") from error
    settings = Settings()
    interface: Dict[str, InterfaceSettings] = {}
    for section in parser.sections():
        keys = dict(parser.items(section))
        place = f"{where}: [{section[:_LONGEST_NAME]}]"
        if section == _MAIN_SECTION:
            settings = _parse_main(keys, place)
        elif section.startswith(_INTERFACE_PREFIX) and section[len(_INTERFACE_PREFIX) :].strip():
            name = section[len(_INTERFACE_PREFIX) :].strip()
            if name in interface:
                raise InputError(f"{place}: a second section for this interface", "keep one")
            interface[name] = _parse_interface(keys, place)
        else:
            raise InputError(f"{place}: unknown section", "use [symroute] or [interface NAME]")
    return settings._replace(interface=interface)


def apply_options(settings: Settings, options: Options) -> Settings:
    """The settings with the command line's word put over the file's; raises `InputError`."""
    interface = dict(settings.interface)
    for text in options.tables:
        link, choice = _split("--table", text, "eth0=users:2")
        before = interface.get(link, InterfaceSettings())
        interface[link] = before._replace(table=_parse_table(f"--table {link}", choice))
    for text in options.gateways:
        link, address = _split("--gateway", text, "eth1=10.0.5.1")
        before = interface.get(link, InterfaceSettings())
        asked = _addresses(f"--gateway {link}", address)
        kept = tuple(
            gateway
            for gateway in before.gateways
            if gateway.version not in {new.version for new in asked}
        )
        interface[link] = before._replace(gateways=kept + asked)
    for option, patterns in (("--interface", options.interfaces), ("--exclude", options.exclude)):
        for pattern in patterns:
            _check_pattern(option, pattern)
    return settings._replace(
        guard=_one_of("--guard", options.guard or settings.guard, GUARDS),
        sources=_one_of("--sources", options.sources or settings.sources, SOURCES),
        iif=_given(options.iif, settings.iif),
        table_names=_given(options.table_names, settings.table_names),
        forwarded=_given(options.forwarded, settings.forwarded),
        interfaces=options.interfaces or settings.interfaces,
        exclude=settings.exclude + options.exclude,
        interface=interface,
    )


def _given(option: Optional[bool], setting: _Setting) -> Union[bool, _Setting]:
    """The option's value; the setting's where it was not given."""
    return setting if option is None else option


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean …?`` for a misspelt word, or the known words."""
    import difflib  # only needed on the way to an error

    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(choices)}"


def _parse_main(keys: Mapping[str, str], place: str) -> Settings:
    defaults = Settings()
    parsers: Dict[str, Callable[[str, str], Any]] = {
        "guard": partial(_one_of, choices=GUARDS),
        "sources": partial(_one_of, choices=SOURCES),
        "iif": _unless_auto,
        "table-names": _boolean,
        "priority-base": _priority,
        "most-networks": _integer,
        "forwarded": _boolean,
        "mark-mask": parse_mask,
        "interfaces": _patterns,
        "exclude": _patterns,
    }
    return defaults._replace(**_parse_keys(keys, parsers, place))


def _parse_interface(keys: Mapping[str, str], place: str) -> InterfaceSettings:
    parsers: Dict[str, Callable[[str, str], Any]] = {
        "table": _text,
        "id": _table_id,
        "gateway": _addresses,
        "profile": _text,
        "addresses": _floating_addresses,
    }
    values = _parse_keys(keys, parsers, place)
    choice = TableChoice(name=str(values.pop("table", "")), id=values.pop("id", 0))
    check_choice(place, choice)
    if "gateway" in values:
        values["gateways"] = values.pop("gateway")
    return InterfaceSettings(table=choice)._replace(**values)


def _parse_keys(
    keys: Mapping[str, str], parsers: Mapping[str, Callable[[str, str], Any]], place: str
) -> Dict[str, Any]:
    values = {}
    for key, text in keys.items():
        if key not in parsers:
            raise InputError(f"{place} {key[:_LONGEST_NAME]}: unknown key", nearest(key, parsers))
        values[key.replace("-", "_")] = parsers[key](f"{place} {key}", text.strip())
    return values


def _split(option: str, text: str, example: str) -> Tuple[str, str]:
    link, separator, value = text.partition("=")
    if not separator or not link or not value:
        raise InputError(f"{option}: {shown(text)} is not LINK=VALUE", f"for example {example}")
    return link, value


def _parse_table(where: str, text: str) -> TableChoice:
    name, separator, number = text.rpartition(":")
    if not separator:
        name, number = ("", text) if re.match(r"^[0-9]+$", text) else (text, "")
    choice = TableChoice(name=name, id=_table_id(where, number) if number else 0)
    check_choice(where, choice)
    return choice


def _one_of(where: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise InputError(
            f"{where}: {shown(text)} is not one of {', '.join(choices)}", nearest(text, choices)
        )
    return text


def _boolean(where: str, text: str) -> bool:
    import configparser

    value = configparser.ConfigParser.BOOLEAN_STATES.get(text.lower())
    if value is None:
        raise InputError(f"{where}: {shown(text)} is neither yes nor no", "write yes or no")
    return value


def _integer(where: str, text: str) -> int:
    if not re.match(r"^[0-9]{1,10}$", text):
        raise InputError(f"{where}: {shown(text)} is not a number", "write it in digits")
    return int(text)


def _table_id(where: str, text: str) -> int:
    number = _integer(where, text)
    check_choice(where, TableChoice(id=number))
    if number == 0:
        raise InputError(f"{where}: 0 cannot be an own table's id", "leave it out to get one")
    return number


def _priority(where: str, text: str) -> int:
    number = _integer(where, text)
    if number not in _PRIORITY_RANGE:
        raise InputError(
            f"{where}: {number} is out of range",
            f"use {_PRIORITY_RANGE[0]} to {_PRIORITY_RANGE[-1]}",
        )
    return number


def _unless_auto(where: str, text: str) -> Optional[bool]:
    return None if text == "auto" else _boolean(where, text)


def _text(where: str, text: str) -> str:
    if not text:
        raise InputError(f"{where}: empty", "give a value, or leave the key out")
    return text


def _patterns(where: str, text: str) -> Tuple[str, ...]:
    patterns = _words(_text(where, text))
    for pattern in patterns:
        _check_pattern(where, pattern)
    return patterns


def _check_pattern(where: str, pattern: str) -> None:
    """InputError for a pattern that some versions of Python cannot take, or take for ever over."""
    usable = 0 < len(pattern) <= _LONGEST_NAME and pattern.count("*") <= _MOST_STARS
    try:
        re.compile(fnmatch.translate(pattern if usable else ""))
    except re.error:  # [z-a]
        usable = False
    if not usable:
        raise InputError(
            f"{where}: {shown(pattern)} cannot be a pattern", "for example eth*, veth? or eth[0-3]"
        )


def _words(text: str) -> Tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _address(word: str) -> IPAddress:
    """The address; ValueError also for what only some versions of Python take.

    A zone (``fe80::1%eth0``) can hold any text and `ip route` knows none; a leading zero is octal
    to some.
    """
    address = ipaddress.ip_address(word)
    if "%" in word or (isinstance(address, ipaddress.IPv4Address) and str(address) != word):
        raise ValueError(word)
    return address


def _parse_address(where: str, word: str) -> IPAddress:
    try:
        return _address(word)
    except ValueError:
        raise InputError(
            f"{where}: {shown(word)} is not an address",
            "write an address without prefix length or zone",
        ) from None


def _addresses(where: str, text: str) -> Tuple[IPAddress, ...]:
    addresses = [_parse_address(where, word) for word in _words(text)]
    if not addresses or len({address.version for address in addresses}) < len(addresses):
        raise InputError(f"{where}: give one address a family", "for example 10.0.6.1")
    return tuple(addresses)


def _floating_addresses(where: str, text: str) -> Tuple[IPAddress, ...]:
    """Addresses with a ``+`` each; without it, it could mean that the link's others count no more.

    They count always: replies from an address without rules would leave by main's default.
    """
    words = _words(_text(where, text))
    for word in words:
        if not word.startswith("+"):
            raise InputError(
                f"{where}: {word!r} lacks the +",
                f"write +{word}: it comes to the addresses that the link has",
            )
    return tuple(dict.fromkeys(_parse_address(where, word[1:]) for word in words))


def parse_mask(where: str, text: str) -> int:
    """The mask in a configuration's text; raises `InputError` with the place."""
    try:
        mask = int(text, 0)
    except ValueError:
        mask = 0
    if not is_usable_mask(mask):
        raise InputError(
            f"{where}: {shown(text)} is no mask of neighbouring bits",
            "for example 0x7f, or 0xff000000",
        )
    return mask
