"""The published archive: fetch it, stream its members, make tables of what it holds."""
