"""What the kernel decides for a packet, whether that is symmetric, and what a plan changes.

Never imports the planner, so that no mistake is shared. Imports model, and touches nothing.
"""
