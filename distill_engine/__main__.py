"""`python -m distill_engine` is `distill-engine`."""

from distill_engine.cli import main

main()
