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
    # IPv6 gets 1024, which does not go before what the host has.
    ("::/0 via 2001:db8:6::1 dev eth0", ""),
    # What NetworkManager reaches all the same, and the line that works.
    ("192.168.5.0/24 via 10.1.1.132", "has the gateway 10.1.1.132"),
    ("192.168.5.0/24 via 10.1.1.132 dev eth0", "has the gateway 10.1.1.132"),
    ("192.168.5.0/24 via 10.1.1.132 dev eth0 onlink", ""),
    ("2001:db8:9::/48 via 2001:db8:ff::1 dev eth0", "has the gateway 2001:db8:ff::1"),
    ("2001:db8:9::/48 via ::0 dev eth0", "has :: for a gateway"),
    ("192.168.0.0/16 via 0.0.0.0 dev eth0", ""),
    ("2001:db8:9::/48 via fe80::1 dev eth0", ""),
    # Words.
    ("192.168.0.0/16 via 10.0.6.254 dev eth0 mtu lock 1400", ""),
    ("192.168.0.0/16 via 10.0.6.254 dev eth0 initcwnd 10 advmss 1400", ""),
    ("192.168.0.0/16 via 10.0.6.254 dev eth0 weight 5", "has 'weight'"),
    ("192.168.0.0/16 via 10.0.6.254 dev eth0 scope link", "has a gateway and a scope"),
    ("192.168.0.0/16 dev eth0 scope link", ""),
    ("192.168.0.0/16 dev eth0 src 10.9.9.9", "names src 10.9.9.9"),
    ("192.168.0.0/16 dev eth0 src 10.0.6.5", ""),
    ("192.168.0.0/16 via 10.0.6.254 dev eth0 tos 10", ""),
    ("prohibit 192.168.0.0/16", ""),
    ("local 192.168.7.7 dev eth0", ""),
    ("default via 10.0.6.1 dev eth0 tab 7", ""),
]
