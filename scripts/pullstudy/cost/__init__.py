"""What pulling a set of images costs a cluster, in seconds and dollars."""
