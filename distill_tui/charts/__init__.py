"""What charts are made of, without the widgets: numpy and pure functions."""
