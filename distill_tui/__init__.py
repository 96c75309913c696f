"""Distill's dashboard: sees the engine through `distill_engine.api` alone and never loads torch."""
