"""Network namespaces, the servers and networks that are built in them, and packets."""
