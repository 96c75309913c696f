"""Steering a model by hand: its sliders, what they stand at, presets, blind votes and what was made. No Textual."""
