"""What a person sees at once: the four panes, the views within them, and dialogs."""
