"""How many layers Docker Engine takes."""

from __future__ import annotations

# Of what overlay mounts hold, Docker Engine keeps two for a running container (moby,
# layer/layer_store.go, maxLayerDepth): images with 126 and 127 layers suit its storage, not itself.
DOCKER_LAYER_LIMIT = 127
DOCKER_PULL_LIMIT = 125
