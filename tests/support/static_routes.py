"""Lines of an administrator's route-eth0, and what the dispatcher script makes of them."""

# Each line, and the beginning of what is wrong with it; "": nothing. NetworkManager 1.42 reads all
# of them as routes of eth0.
LINES = [
    ("192.168.0.0/16 via 10.0.6.254 dev eth0", ""),
    ("192.168.0.0/16 via 10.0.6.254", ""),
    ("192.168.7.1 dev eth0", ""),
    ("to 192.168.0.0/16 dev eth0 metric 7", ""),
    ("unicast 192.168.0.0/16 dev eth0", ""),
    ("blackhole 192.168.0.0/16", ""),
    ("2001:db8:9::5/48 dev eth0", ""),
    ("default via 10.0.6.1 dev eth0 metric 300", ""),
    ("default via 10.0.6.1 dev eth0 table 7", ""),
    ("2001:db8:9::/48 via 2001:db8:6::fe dev eth0", ""),
    ("2001:db8:9:0::1/128 dev eth0", ""),
    ("# 192.168.0.0/16", ""),
    ("  ", ""),
    ("192.168.0.0/16 via 10.0.6.254 dev eth0\r", "ends in CR LF"),
    ("192.168.0.0/16", "names no link"),
    ("192.168.0.0/16 metric 7", "names no link"),
    ("192.168.0.0/16 via 10.0.6.254 dev eth7", "names dev eth7"),
    ("192.168.0.0/16 dev eth1", "names dev eth1"),
    ("192.168.7.5/16 via 10.0.6.254 dev eth0", "has host bits set"),
    ("default via 10.0.6.1 dev eth0", "is a default route"),
    ("0.0.0.0/0 via 10.0.6.1 dev eth0", "is a default route"),
    ("::/0 via 2001:db8:6::1 dev eth0", "is a default route"),
]
