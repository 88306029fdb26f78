"""Throw detection: renders scenes with exact truth, trains, exports and evaluates. Nothing here runs at a gateway."""
