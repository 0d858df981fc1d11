"""Parse options, call one workflow, print one report.

Imports workflow, report, model and errors; touches the screen.
"""
