"""Rebuild, check and repeat the study of how HPC containers are built and pulled."""

__version__ = "0.1.0"
