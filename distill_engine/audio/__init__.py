"""Recordings, spectrograms and what lies between them."""
