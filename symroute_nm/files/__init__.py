"""Any file below a root: resolve, read, journal, back up, replace. Knows no networking.

Imports model and errors; touches the disk.
"""
