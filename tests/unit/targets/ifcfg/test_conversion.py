"""Routes in ``ADDRESSn=`` form, written as `ip` takes them."""

import re

import pytest

from symroute_nm.errors import InputError
from symroute_nm.targets.ifcfg import conversion
from symroute_nm.targets.ifcfg.conversion import convert

VARIABLES = b"""# the lab
ADDRESS0=10.10.0.0
NETMASK0="255.255.0.0"
GATEWAY0='10.0.6.9'  # old router

# \xff storage
ADDRESS1=10.20.0.5
NETMASK1=255.255.255.0
PREFIX1=24
METRIC1=5
OPTIONS1="mtu 1400"
"""
CONVERTED = b"""# the lab
10.10.0.0/16 via 10.0.6.9 dev eth0
# old router

# \xff storage
10.20.0.0/24 dev eth0 metric 5 mtu 1400
"""


def test_convert_writes_ip_form_and_keeps_comments():
    assert CONVERTED == convert(VARIABLES, "eth0")
    assert not conversion.is_variables_form(convert(VARIABLES, "eth0"))


def test_convert_reads_crlf_and_a_missing_last_newline():
    content = b"ADDRESS0=10.10.0.0\r\nNETMASK0=255.255.0.0"
    assert b"10.10.0.0/16 dev eth0" == convert(content, "eth0")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"ADDRESS0=10.0.0.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=0.0.0.255\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.255.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=24\n", 1),
        (b"ADDRESS0=10.0.0.0\nPREFIX0=8\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nPREFIX0=33\n", 1),
        (b"ADDRESS0=10.0.0.0\nPREFIX0=8\nNETMASK0=255.255.0.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nGATEWAY0=10.0.0.010\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nMETRIC0=-1\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nOPTIONS0='mtu $(id)'\n", 1),
        (b"ADDRESS0=\nNETMASK0=255.0.0.0\n", 1),
        (b"\nADDRESS0=$NET\nNETMASK0=255.0.0.0\n", 2),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\n10.9.0.0/16 via 10.0.0.1\n", 3),
        (b"ADDRESS0=10.0.0.0 frobnicate\n", 1),
        (b"ADDRESS0='10.0.0.0\nNETMASK0=255.0.0.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nexport GATEWAY0=10.0.0.1\n", 3),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nNETMASK0=255.255.0.0\n", 3),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nGATEWAY1=10.0.0.1\n", 3),
        (b"\xef\xbb\xbfADDRESS0=10.0.0.0\nADDRESS0=10.0.0.0\n", 1),
    ],
)
def test_convert_names_the_line_that_it_does_not_understand(content, line):
    with pytest.raises(InputError, match=rf"^/etc/route-a line {line}\b"):
        convert(content, "eth0", "/etc/route-a")


def test_convert_refuses_a_gap_behind_which_nothing_is_applied():
    with pytest.raises(InputError, match="0, 2"):
        convert(VARIABLES.replace(b"S1=", b"S2=").replace(b"K1=", b"K2="), "eth0")


def test_convert_refuses_a_device_that_the_shell_would_expand():
    with pytest.raises(InputError, match=re.escape("'eth*'")):
        convert(VARIABLES, "eth*")
