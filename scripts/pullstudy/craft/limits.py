"""How many layers Docker Engine takes."""

from __future__ import annotations

# overlay2 stacks 127 layers, of which Docker Engine keeps two for the container that runs (moby,
# layer/layer_store.go, maxLayerDepth): the 127 that people name are 125 for an image.
DOCKER_LAYER_LIMIT = 125
