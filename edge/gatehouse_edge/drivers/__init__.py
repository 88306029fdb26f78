"""Field devices: the only modules that touch device libraries. They see, judge nothing, and hand over observations."""
