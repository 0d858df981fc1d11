"""Where files stand that more than one wing names: the names of routing tables."""

NETWORK_SCRIPTS = "/etc/sysconfig/network-scripts"
RT_TABLES = "/etc/iproute2/rt_tables"
FRAGMENT = "/etc/iproute2/rt_tables.d/symroute-nm.conf"

# The names of tables in the kernel that no file names, of this boot: a file for each network
# namespace in this folder (`files.own_folders`).
RUN_TABLES = "/run/symroute-nm-tables"
