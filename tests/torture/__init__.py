"""Campaigns of random histories. One module a layer, each with `main(count, seed) -> Tally`.

`python -m tests.torture NAME --count N --seed S` runs one and prints its tally as one line, which begins with
`tally:`; scripts/torture.py runs them all.
"""
