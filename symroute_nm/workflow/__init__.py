"""The steps of each command, without a screen: composes the wings, speaks through callbacks.

Imports all below; touches kernel and disk through them.
"""
