"""The network, its losses, its files."""
