"""`python -m symroute_nm`: the same as the command."""

from symroute_nm.cli import main

main()
