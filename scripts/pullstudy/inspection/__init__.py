"""What manifests and configs tell of images before they are pulled."""
