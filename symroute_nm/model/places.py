"""Where files stand that several wings know: absolute paths as the host sees them."""

NETWORK_SCRIPTS = "/etc/sysconfig/network-scripts"
# The script of NetworkManager's that applies route and rule files, in a folder of dispatcher.d.
ROUTES_SCRIPT = "10-ifcfg-rh-routes.sh"
RT_TABLES = "/etc/iproute2/rt_tables"
FRAGMENT = "/etc/iproute2/rt_tables.d/symroute-nm.conf"

# The names of tables in the kernel that no file names, of this boot: a file for each network
# namespace in this folder (`files.own_folders`).
RUN_TABLES = "/run/symroute-nm-tables"
