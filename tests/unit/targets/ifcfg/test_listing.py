"""Rules as the rule files list them."""

from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.model.host import Host
from symroute_nm.model.observations import ConfigFile
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.targets.ifcfg.listing import list_rules

WORDS = st.sampled_from(["priority", "from", "10.0.0.1", "lookup", "0x", "\\", "\n", "#", "!"])


@given(st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=20))
def test_any_file_is_listed(words):
    path = f"{NETWORK_SCRIPTS}/rule-eth0"
    for listed in list_rules([ConfigFile(path, " ".join(words))], Host()):
        assert path == listed.path
