"""Where a plan is kept for the next boot: one folder a target, one interface (``base``).

Imports model and files; touches the disk through files.
"""
