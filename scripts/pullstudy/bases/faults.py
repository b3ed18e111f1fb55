"""What can be wrong with a layer."""

from pullstudy.errors import ImageError


class LayerFault(ImageError):
    """Half a sentence, such as `ends too early`: whoever knows the layer's name puts it before."""
