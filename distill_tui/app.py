"""`distill-tui`: for now one screen that says what the dashboard will be and what works today."""

from __future__ import annotations


def main() -> None:
    """Run the dashboard."""
