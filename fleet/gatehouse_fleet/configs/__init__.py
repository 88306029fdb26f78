"""Configurations of gateways: versions, templates, differences, and bringing them out in stages."""
