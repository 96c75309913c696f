"""The draft of the next run: the form, its fields, files and words, and what is undone."""
