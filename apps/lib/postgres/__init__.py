"""PostgreSQL as Django has it, but for how it is found out whether a kept connection is still good."""
