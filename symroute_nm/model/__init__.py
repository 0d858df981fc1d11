"""The words: immutable values; addresses are ``ipaddress`` objects; iproute2 syntax out and in.

Imports errors alone, and touches nothing.
"""
