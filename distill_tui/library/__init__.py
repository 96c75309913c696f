"""The models that are kept: their files, their stories, their words, and what to generate from them."""
