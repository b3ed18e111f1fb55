"""What registries hold: manifests and configs as documents and as tables."""
