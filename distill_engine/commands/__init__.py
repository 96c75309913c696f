"""The commands of `distill-engine`, a module for each thing they are about."""
