"""Results -> lines for people, JSON for programs; decides nothing.

Imports the results, model, and the words of rpdb; touches nothing.
"""
