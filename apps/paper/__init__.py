"""The paper exchange: BitMart's wire in a process and store of its own. Imports no app, is imported by none."""
