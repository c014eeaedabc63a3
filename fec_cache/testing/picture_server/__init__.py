"""A web server on the loopback interface that shows every behaviour a download must survive."""
