"""The fleet console 运行台: its one page, its scripts, and what all consoles share."""
