"""The technician's page 调试台: a local web page over `gatehouse-bench`. See docs/bench-page.md.

Everything it does is a command line that it shows and runs as a process; what it knows it reads from that process' output and
from the bench's disk. So it can stop at any moment: the runs go on, and the page takes them up again.
"""
