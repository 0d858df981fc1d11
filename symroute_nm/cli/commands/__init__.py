"""One module a command.
"""
