"""The technician's bench: from a bare board to a labelled, calibrated device with a signed record."""
