"""Distill's engine: trains a small generative model on a person's own recordings. Importing it loads nothing else."""
