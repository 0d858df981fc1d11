"""Submodules without their package's init, which others may still import whole."""

import subprocess
import sys

import pytest

LEAN = (
    "from symroute_nm.lazy import import_submodule as lean; "
    "e = lean('jinja2.environment'); r = lean('jinja2.runtime'); "
)
WHOLE = "import jinja2; "
SAME = "print(jinja2.Environment is e.Environment, jinja2.StrictUndefined is r.StrictUndefined)"


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True
    ).stdout.decode()


@pytest.mark.parametrize("code", [LEAN + WHOLE, WHOLE + LEAN])
def test_jinja2_itself_and_we_get_along(code):
    assert "True True" == python(code + SAME).strip()


def test_neither_loaders_nor_caches_are_loaded():
    loaded = python(LEAN + "import sys; print(*sys.modules)").split()

    assert "jinja2.environment" in loaded
    assert not {"jinja2", "jinja2.loaders", "jinja2.bccache"} & set(loaded)


def test_an_error_in_a_template_is_jinja2s_own():
    code = (
        LEAN + "t = e.Environment(undefined=r.StrictUndefined).from_string('{{ a.b }}')\n"
        "try: t.render()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    assert "UndefinedError 'a' is undefined" == python(code).strip()


def test_what_is_not_there_is_an_import_error():
    code = (
        "from symroute_nm.lazy import import_submodule as lean\n"
        "try: lean('jinja2.nothing')\n"
        "except ImportError: import jinja2; print('still', jinja2.Environment.__name__)"
    )

    assert "still Environment" == python(code).strip()
