"""Configuration, data, and the loop that trains."""
