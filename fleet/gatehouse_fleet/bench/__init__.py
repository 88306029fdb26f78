"""What technicians' benches hand in: signed records of boards, new devices, and the keys sealed for us."""
