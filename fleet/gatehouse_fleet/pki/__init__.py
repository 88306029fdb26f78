"""The server's own certificate authority, enrolment of gateways, and who stands at the other end of a connection."""
