"""The words of this project as immutable types; addresses are ``ipaddress`` objects, never strings.

The same `Route` and `Rule` serve kernel, plan, templates and netlink.
"""

NETWORK_SCRIPTS = "/etc/sysconfig/network-scripts"
RT_TABLES = "/etc/iproute2/rt_tables"
FRAGMENT = "/etc/iproute2/rt_tables.d/symroute-nm.conf"

# The names of tables in the kernel that no file names, of this boot: a file for each network
# namespace in this folder (`rundir`).
RUN_TABLES = "/run/symroute-nm-tables"
