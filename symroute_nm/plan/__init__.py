"""Host and settings -> plan. Knows no file and no target.

Imports model, and touches nothing.
"""
