"""rtnetlink and netfilter: read, compare, change with a timed way back.

Imports model and files; touches the kernel and /run.
"""
