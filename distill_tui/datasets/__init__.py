"""Folders of recordings: those that are known, their words, and their paths as one types them."""
