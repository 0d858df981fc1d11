"""What `generate` does with which host: a row a golden case, and README's table out of them.

`test_case_table` holds each row against its case, and README against the rows.
"""

from typing import NamedTuple, Tuple

TWO = "eth0 eth1"


class Row(NamedTuple):
    """A host and what becomes of it; `does` begins with "refused" or "nothing" where it is that."""

    case: str
    host: str
    does: str
    uplinks: str = TWO  # that get a table, "" for none
    exit: int = 0
    says: Tuple[str, ...] = ()  # parts of what is said
    writes: Tuple[str, ...] = ()  # lines that the tree afterwards has
    shown: bool = True  # in README


def refused(case: str, host: str, does: str, *says: str, code: int = 3, shown: bool = True) -> Row:
    return Row(case, host, "refused: " + does, "", code, says, shown=shown)


def idle(case: str, host: str, does: str, *says: str, writes: Tuple[str, ...] = ()) -> Row:
    return Row(case, host, "nothing: " + does, "", 0, says, writes)


def inner(
    case: str, host: str, does: str, *says: str, uplinks: str = TWO, writes: Tuple[str, ...] = ()
) -> Row:
    """A row of no interest to README's readers."""
    return Row(case, host, does, uplinks, 0, says, writes, shown=False)


ADDRESSES = (
    Row(
        "two-uplinks",
        "two static uplinks, IPv4 and IPv6, Docker",
        "a table each, rules by address; containers stay reachable",
        says=("skipped docker0: no default route through it: internal network 172.17.0.0/16",),
        writes=(
            "priority 20002 from 10.0.6.5 lookup 100",
            "priority 20002 from 2001:db8:6::5 lookup 100",
        ),
    ),
    idle(
        "one-uplink",
        "one uplink",
        "there is nothing to choose",
        "fewer than two uplinks in any family: nothing to do",
    ),
    Row(
        "dhcp-two-metrics",
        "DHCP on both, defaults with two metrics",
        "rules by network, so that a new lease in it stays right",
        writes=(
            "priority 20002 from 10.0.6.0/24 lookup 100",
            "priority 20002 from 10.0.5.0/24 lookup 101",
        ),
    ),
    Row(
        "dhcp-gateway-in-ifcfg",
        "DHCP with `DEFROUTE=no`, `GATEWAY=` in the ifcfg file",
        "the gateway is the file's",
        writes=("default via 10.0.5.1 dev eth1 table 101",),
    ),
    Row(
        "dhcp-dhclient-lease",
        "DHCP with `DEFROUTE=no`, a lease of dhclient's",
        "the gateway is the lease's",
        writes=("default via 10.0.5.1 dev eth1 table 101",),
    ),
    Row(
        "dhcp-by-address",
        "the same, a lease of NetworkManager's own client",
        "the gateway is the lease's; `--sources address`: rules by address all the same",
        writes=(
            "priority 20002 from 10.0.5.5 lookup 101",
            "default via 10.0.5.1 dev eth1 table 101",
        ),
    ),
    idle(
        "dhcp-old-lease",
        "the same, the lease is another network's",
        "what leads out of eth1 is not known, so eth0 is the only uplink",
        "skipped eth1: no default route through it: internal network 10.0.5.0/24",
    ),
    Row(
        "slaac",
        "SLAAC with temporary addresses, link-local routers",
        "rules by prefix, so that temporary addresses come and go",
        writes=(
            "priority 20002 from 2001:db8:6::/64 lookup 100",
            "default via fe80::1 dev eth0 table 100",
        ),
    ),
    Row(
        "slaac-shared-network",
        "the same, both in one prefix",
        "rules by address, and a note to generate again when one changes",
        says=("generate again whenever it changes",),
        writes=("priority 20002 from 2001:db8:6:0:91c3:6:6:6 lookup 100",),
    ),
    Row(
        "several-addresses",
        "several addresses and networks on a link",
        "rules for each address; the table has all the networks",
        writes=("priority 20002 from 10.0.6.130 lookup 100", "192.0.2.0/28 dev eth0 table 100"),
    ),
    Row(
        "alias-file",
        "`ifcfg-eth1:1` with the gateway",
        "its address and its gateway count",
        writes=(
            "priority 20002 from 10.0.9.5 lookup 101",
            "default via 10.0.9.1 dev eth1 table 101",
        ),
    ),
    Row(
        "thirty-one",
        "/31 networks",
        "the lower address is a host's, and may be the gateway",
        writes=("default via 10.0.6.4 dev eth0 table 100",),
    ),
    Row(
        "on-link-gateways",
        "/32 with a gateway that has a route on the link",
        "that route stands before the default in the table",
        writes=("10.255.0.1/32 dev eth0 table 100", "default via 10.255.0.1 dev eth0 table 100"),
    ),
    Row(
        "gateway-outside",
        "a gateway outside the network, `onlink`",
        "`onlink` stays",
        writes=("default via 100.64.0.1 dev eth0 onlink table 100",),
    ),
    refused(
        "far-gateway",
        "a gateway outside the network, nothing leads to it",
        "the kernel would not take it",
        "10.99.0.1 is on no network of eth0",
        code=2,
    ),
    Row(
        "several-defaults",
        "several defaults on a link",
        "the one of the best metric",
        writes=("default via 10.0.6.2 dev eth0 table 100",),
    ),
    Row(
        "multipath",
        "one multipath default over both links",
        "a table each, with its own gateway",
        writes=(
            "default via 10.0.6.1 dev eth0 table 100",
            "default via 10.0.5.1 dev eth1 table 101",
        ),
    ),
    Row(
        "multipath-one-link",
        "a multipath default over two routers on a link",
        "the first of them, and a note",
        says=("goes by 10.0.6.1 alone, not by 10.0.6.2",),
    ),
    Row(
        "shared-network",
        "two uplinks in one network",
        "rules by address, also under DHCP",
        says=("eth1: the rules for 10.0.6.6 are for the address itself",),
        writes=("10.0.6.0/24 dev eth0 table 100", "10.0.6.0/24 dev eth1 table 101"),
    ),
    refused(
        "same-address",
        "the same address on two links",
        "a reply does not tell by which its request came",
        "10.0.6.5 is an address of eth0 and of eth1",
    ),
    Row(
        "networks-nested",
        "overlapping networks: 10.0.0.0/8 and 10.1.0.0/16",
        "each answers the other's neighbours by its own gateway",
        writes=(
            "10.1.0.0/16 via 10.9.9.1 dev eth0 table 100",
            "10.0.0.0/8 via 10.1.0.1 dev eth1 table 101",
        ),
    ),
    Row(
        "overlapping",
        "a bridge's network inside one that a router leads to",
        "the bridge's is left to main",
        writes=("throw 10.200.0.0/16 table 100",),
    ),
    Row(
        "ipv6-on-one",
        "IPv6 on one of two",
        "IPv4 alone, and a note",
        says=("IPv6: eth0 is the only uplink: nothing is written for it",),
    ),
    Row(
        "uplink-in-ipv6-only",
        "a link that is an uplink in IPv6 only",
        "IPv6 alone, and a note on its IPv4 addresses",
        says=("eth1: no IPv4 gateway of it is known, so its IPv4 addresses get no rules",),
        writes=("default via 2001:db8:5::1 dev eth1 table 101",),
    ),
    Row(
        "keepalived",
        "keepalived: `addresses = +10.0.6.100`",
        "rules for it before it is there, proved",
        says=("docker0 is no uplink now", "192.0.2.77 is on no network of eth0"),
        writes=("priority 20002 from 10.0.6.100 lookup 100",),
    ),
    refused(
        "keepalived-elsewhere",
        "the same, in another link's network",
        "its neighbours would be answered the wrong way",
        "eth1 leads to its network",
        code=2,
    ),
    Row(
        "load-balanced",
        "LVS: the cluster's address on lo, `addresses = +…`",
        "rules for it, as for the link's own",
        writes=("priority 20002 from 10.0.6.100 lookup 100",),
    ),
)

LINKS = (
    Row(
        "many-containers",
        "a VLAN on a bond; containers' veths",
        "the VLAN is an uplink; ports are passed over",
        "eth0 bond0.100",
        says=("skipped eth3, eth4: port of bond0", "and 4 more: port of docker0"),
        writes=("default via 10.0.5.1 dev bond0.100 table 100",),
    ),
    Row(
        "team-and-vlan",
        "a team and a VLAN on it",
        "both are uplinks",
        "team0 team0.200",
        says=("skipped eth0, eth1: port of team0",),
    ),
    Row(
        "bridge-with-ports",
        "a bridge with eth0 and virtual machines as ports",
        "the bridge is the uplink, as it has the addresses",
        "br0 eth1",
        says=("skipped eth0, vnet0, vnet1: port of br0",),
    ),
    refused(
        "macvlan-of-networkmanager",
        "macvlan and its like, managed by NetworkManager",
        "ifcfg files cannot describe them to it",
        "cannot describe a macvlan link",
    ),
    Row(
        "macvlan",
        "macvlan, of network.service",
        "an uplink as any other",
        "eth0 macvlan0",
        writes=("default via 10.0.5.1 dev macvlan0 table 101",),
    ),
    Row(
        "point-to-point",
        "`ppp0`, default without gateway (network.service)",
        "default by the link, in files of its profile's name",
        "eth0 ppp0",
        writes=("default dev ppp0 table 101",),
    ),
    refused(
        "tunnel-default",
        "OpenVPN's `tun0` with main's default",
        "no profile has it, so nothing would apply its files",
        "tun0: no ifcfg profile has it",
    ),
    Row(
        "tunnel-excluded",
        "the same with `--exclude tun0`",
        "replies of the others stay clear of it",
        says=("skipped tun0: excluded (tun0)",),
    ),
    refused(
        "tunnel-in-halves",
        "OpenVPN's `redirect-gateway def1`: two halves of a default",
        "they would take the replies",
        "this plan cannot be proved",
        "0.0.0.0/1 via 10.8.0.5",
    ),
    Row(
        "vrf-member",
        "a VRF and its members",
        "left alone",
        says=("skipped eth2: member of VRF blue: its table 100 is left alone",),
        writes=("101 eth0", "102 eth1"),
    ),
    Row(
        "no-carrier",
        "no carrier, the address still there",
        "an uplink as before",
        writes=("priority 20002 from 10.0.6.5 lookup 100",),
    ),
    Row(
        "link-down",
        "a link set down, its files of an earlier run",
        "they are kept, and that is said",
        says=(
            "kept /etc/sysconfig/network-scripts/route-eth2",
            "skipped eth2: down: no default route through it now",
        ),
        writes=("default via 10.0.7.1 dev eth2 table 102",),
    ),
    Row(
        "stale-kept",
        "a link without carrier and address, its files of an earlier run",
        "they are kept, and that is said; those of a profile that is gone go",
        says=("kept /etc/sysconfig/network-scripts/route-eth2",),
        writes=("default via 10.0.7.1 dev eth2 table 102",),
    ),
    Row(
        "stale-pruned",
        "the same with `--prune`",
        "they go",
        says=("skipped eth2: no carrier, no global address",),
    ),
    idle(
        "stale-alone",
        "one uplink left, files of an earlier run",
        "they are kept, and that is said",
        "kept /etc/sysconfig/network-scripts/rule-eth0",
        writes=("default via 10.0.5.1 dev eth1 table 101",),
    ),
    inner(
        "stale-excluded",
        "files of an earlier run of a link that is excluded now",
        "they go",
        "skipped eth2: excluded (eth2)",
    ),
    idle("stale-alone-pruned", "the same with `--prune`", "they go")._replace(shown=False),
    refused(
        "no-profile",
        "an uplink without an ifcfg profile",
        "nothing would apply its files",
        "eth1: no ifcfg profile has it",
    ),
    refused(
        "ambiguous-profile",
        "an uplink that two profiles fit",
        "`profile =` in the configuration says which",
        "the profiles eth1, office all fit",
    ),
    Row(
        "profile-names",
        "profiles of other names than their links",
        "files are named after the profile",
        writes=("default via 10.0.6.1 dev eth0 table 100",),
    ),
)

OTHERS = (
    Row(
        "nm-cloud-setup",
        "nm-cloud-setup's rules 30200 to 30401",
        "ours come before them",
        writes=("priority 20002 from 10.0.6.5 lookup 100",),
    ),
    Row(
        "calico",
        "Calico",
        "pods and nodes are main's, its blackhole stays",
        says=("skipped tunl0: no default route through it: internal network 10.244.5.0/26",),
    ),
    Row(
        "calico-wireguard",
        "Calico with WireGuard: rule 99, table 1",
        "planned, and a warning: its rule decides before ours",
        says=("goes dev wireguard.cali by rule 99", "that rule is not ours, comes before ours"),
    ),
    Row(
        "strongswan",
        "strongSwan: rule 220, table 220",
        "planned, and a warning: its peers are reached as it says",
        says=("by rule 220 (from all lookup 220)", "that rule is not ours, comes before ours"),
    ),
    Row(
        "tailscale",
        "Tailscale: rules 5210 to 5270, table 52",
        "its peers stay reachable",
        says=("skipped tailscale0",),
    ),
    Row(
        "wg-quick",
        "wg-quick with all traffic",
        "replies of the uplinks stay clear of it",
        says=("skipped wg0: no default route through it",),
    ),
    Row(
        "forwarded",
        "`--forwarded`, Docker, nft",
        "connections are marked by the uplink that was asked, and published ports answer by it",
        says=("marks (nft): eth0 0x64/0x7f",),
        writes=("priority 19999 fwmark 0x64/0x7f lookup 100",),
    ),
    Row(
        "forwarded-el7",
        "the same on RHEL 7 with firewalld, which has direct rules already",
        "marks by iptables, and in `direct.xml`, so that they outlive a reload",
        says=("marks (firewalld)",),
        writes=(
            '  <chain ipv="ipv4" table="mangle" chain="symroute_nm"/>',
            "priority 19999 fwmark 0x65/0x7f lookup 101",
        ),
    ),
    refused(
        "forwarded-mask-taken",
        "the same, and somebody's rule by bits of that mark",
        "`mark-mask` moves ours",
        "set mark-mask = 0xff000000",
    ),
    refused(
        "leftover-rule",
        "an earlier rule that sends an uplink's replies elsewhere",
        "the plan would be in vain",
        "by rule 999 (from 10.0.5.5/32 lookup 200)",
    ),
    refused(
        "taken-priority",
        "somebody's rule at 20000 to 20002",
        "`priority-base` moves ours",
        "priority 20001 is taken by a rule that is not ours",
    ),
    Row(
        "priority-moved",
        "the same with `priority-base = 21000`",
        "ours stand there",
        writes=("priority 21002 from 10.0.6.5 lookup 100",),
    ),
    Row(
        "other-tables-default",
        "a table and a rule made by hand for an uplink",
        "its default is the gateway's evidence",
        writes=("default via 10.0.6.1 dev eth0 table 100",),
    ),
    Row(
        "ids-in-use",
        "ids in use, in the kernel and in rt_tables files",
        "passed over",
        writes=("106 eth0", "107 eth1"),
    ),
    Row(
        "fragment-disagrees",
        "a table name that rt_tables and our fragment give two ids",
        "ours keeps its id under another name",
        writes=("100 eth0-uplink", "200 eth0"),
    ),
    refused(
        "table-named-twice",
        "`--table eth0=users`, and two files give users two ids",
        "which is meant is not ours to guess",
        "table users is 2 in /etc/iproute2/rt_tables and 201 in",
        code=2,
    ),
    Row(
        "no-drop-ins",
        "iproute2 without rt_tables.d",
        "a block in `/etc/iproute2/rt_tables`",
        writes=("100 eth0", "101 eth1"),
    ),
    Row(
        "vendor-tables",
        "`/usr/share/iproute2/rt_tables`",
        "its names and ids are passed over",
        writes=("102 eth0", "103 eth1-uplink"),
    ),
    Row(
        "forwarding-throw",
        "a router on a kernel without suppress_prefixlength",
        "throw routes, no rules for transit; a note to generate again with new containers",
        says=("IPv4 is forwarded, so no rule catches transit (iif)",),
        writes=("throw 172.17.0.0/16 table 100",),
    ),
    Row(
        "static-routes",
        "static routes in main",
        "each table has those by its link, and the others by its gateway",
        writes=("192.168.0.0/16 via 10.0.6.254 dev eth0 table 100",),
    ),
    Row(
        "many-networks-aggregated",
        "more networks than a table should hold",
        "neighbours are made one, exactly",
        "eth0 eth1 eth2",
        writes=("192.168.0.0/21 via 10.0.6.1 dev eth0 table 100",),
    ),
    Row(
        "many-networks-widened",
        "still more, with room between them",
        "they are widened into what is not main's, and that is said",
        "bond0.100 bond0.101 bond0.102 bond0.103 bond0.104 bond0.105",
        says=("own tables know the other uplinks' networks as 10.0.0.0/21",),
    ),
    Row(
        "many-networks-past-the-bound",
        "still more, without",
        "what does not fit is left to main, and that is said",
        "eth0 eth1 eth2",
        says=("8 IPv4 networks behind routers",),
    ),
)

OWN_LINES = (
    refused(
        "addresses-form",
        "`route-eth0` in `ADDRESS0=` form",
        "`--convert` rewrites it",
        "route-eth0 is in ADDRESSn= form",
    ),
    Row(
        "addresses-form-converted",
        "the same with `--convert`",
        "the routes in ip form, then ours",
        writes=("192.168.0.0/16 via 10.0.6.254 dev eth0",),
    ),
    Row(
        "foreign-lines",
        "static routes in `route-eth0`, rules in `rule-eth0`",
        "they stay as they are, before ours; a line that cannot work is named",
        says=("ends in CR LF",),
        writes=("192.168.0.0/16 via 10.0.6.254 dev eth0",),
    ),
    Row(
        "byte-order-mark",
        "a byte order mark before a route",
        "it stays, and a warning",
        says=("begins with a byte order mark",),
        writes=("192.168.7.0/24 via 10.0.6.254",),
    ),
    refused(
        "routes-for-networkmanager-alone",
        "a route that `ip` takes otherwise than NetworkManager does",
        "the message has the line that works, `--convert` writes it",
        "line 2 ends in CR LF",
        "line 3 names no link",
    ),
    refused(
        "damaged-block",
        "a block of ours without its END",
        "the message has the lines",
        "markers are damaged (BEGIN in line 1;",
    ),
    refused(
        "end-without-begin",
        "an END without BEGIN",
        "the message has the line",
        "markers are damaged (END in line 2;",
    ),
    refused(
        "two-blocks",
        "two blocks in a file",
        "the message has the lines",
        "markers are damaged (BEGIN in line 1, END in line 6, BEGIN in line 8",
    ),
    Row(
        "edited-block",
        "a block that somebody edited",
        "written anew; what it loses is shown, and the backup named",
        writes=("192.168.0.0/16 via 10.0.5.254", "192.168.7.0/24 via 10.0.5.254"),
    ),
)

FILES = (
    inner("administrators-name", "a name and id of the administrator's", "used"),
    inner("configured", "all keys in the configuration", "as configured"),
    inner("default-on-eth0", "main's default on eth0", "the other's gateway from its profile"),
    inner("default-on-eth1", "main's default on eth1", "the other's gateway from its profile"),
    inner("both-defaults-in-main", "two defaults in main", "a table each"),
    inner(
        "dhcp-by-network",
        "--sources network",
        "rules by network",
        writes=("priority 20002 from 10.0.6.0/24 lookup 100",),
    ),
    inner(
        "earlier-fragment",
        "a fragment of an earlier run",
        "its ids are kept",
        writes=("100 eth1", "105 eth0"),
    ),
    inner("excluded-link", "an uplink excluded", "left out", "skipped eth2: excluded (eth2)"),
    inner("guard-none", "--guard none", "the plain recipe, with what it cuts off", "no guard"),
    inner(
        "guard-throw", "--guard throw", "throw routes", writes=("throw 172.17.0.0/16 table 100",)
    ),
    inner("ipv6-only", "IPv6 alone, one SLAAC", "by address and by prefix"),
    inner(
        "only-asked-for",
        "--interface",
        "the others are left out",
        "not among the interfaces asked for",
        uplinks="eth0 eth2",
    ),
    inner("table-names", "--table-names", "names instead of numbers"),
    inner("three-uplinks", "three uplinks", "a table each", uplinks="eth0 eth1 eth2"),
)

ROWS = ADDRESSES + LINKS + OTHERS + OWN_LINES + FILES
