"""Why? Findings and explanations.

Imports model, rpdb, plan and targets.base; touches nothing.
"""
