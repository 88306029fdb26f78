"""The HTTP interface: routers by area, one error shape, one way to page, one way to ask who is asking."""
