"""The layer formats by name."""

from __future__ import annotations

from pullstudy.craft.content import ALL_RANDOM, ALL_ZEROS, Mix, mix_for_ratio
from pullstudy.craft.estargz import EstargzFormat
from pullstudy.craft.gzip_framing import GzipFraming
from pullstudy.craft.layers import LayerFormat, PlainFraming, TarFormat
from pullstudy.craft.library_format import LibraryFormat
from pullstudy.craft.study import Study
from pullstudy.craft.zstd_framing import ZstdFraming

# OCI image specification 1.1, "Image Layer Filesystem Changeset".
_TAR_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"

_TAR_FORMATS = {
    "none": TarFormat("none", _TAR_MEDIA_TYPE, PlainFraming),
    "gzip": TarFormat("gzip", f"{_TAR_MEDIA_TYPE}+gzip", GzipFraming),
    "zstd": TarFormat("zstd", f"{_TAR_MEDIA_TYPE}+zstd", ZstdFraming),
}
_FORMATS: dict[str, LayerFormat] = {**_TAR_FORMATS, "estargz": EstargzFormat()}


def choose_format(study: Study) -> LayerFormat:
    """Return the format that the study asks for."""
    if study.level is None:
        return _FORMATS[study.compression]
    return LibraryFormat(_TAR_FORMATS[study.compression], study.level)


def choose_mix(study: Study) -> Mix:
    """Return the mixture of bytes that the study asks for.

    Raises CraftError when the format cannot reach the ratio.
    """
    if study.ratio is None:
        return ALL_ZEROS if study.content == "zeros" else ALL_RANDOM
    framing = ZstdFraming if study.compression == "zstd" else GzipFraming
    return mix_for_ratio(study.ratio, framing.letters_cost, framing.zeros_cost)
