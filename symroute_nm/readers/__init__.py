"""Everything that comes in: kernel and files -> host, configuration -> settings.

Imports model, files and kernel; reads only.
"""
