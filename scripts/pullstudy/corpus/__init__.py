"""Live sources of Dockerfiles: which repositories there are, and their Dockerfiles."""
