"""Configurations of the gateways: versions with differences, templates, and rollouts that begin with a few and confirm themselves."""
