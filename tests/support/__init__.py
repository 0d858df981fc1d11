"""What the tests share: hosts, trees of files, networks, the program and what it is run with."""
