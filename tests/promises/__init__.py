"""What Distill promises, each promise beside what tries to break it.

`python -m tests.promises` tries all of them in full and prints the figures; the tests try a little of each.
"""
