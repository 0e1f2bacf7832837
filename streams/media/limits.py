"""What an original may be, and what making its renditions may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Every limit on one original and on the process that decodes it; filled from settings.

    `decoder_memory_bytes_max` is the memory that a decoder may map in addition to what it has
    mapped at its start. It must be enough for every baseline JPEG and every non-interlaced PNG.
    libvips reads these line by line: at 50 megapixels they took at most 104 MB in all. A
    progressive JPEG, an interlaced PNG or a large WebP must be in memory as a whole, which takes up
    to 512 MB (a progressive JPEG in CMYK). Such an image mostly exceeds the limit before its first
    pixel; it is decoded again, one such image at a time, with `large_decoder_memory_bytes_max`.

    `decoder_cpu_s_max` limits the work. `decoder_wall_s_max` is there only to end decoders that
    hang, so it must be generous: on a busy machine a decoder with low priority may make no progress
    for long, and its photo must not be rejected for that.
    """

    original_bytes_max: int
    original_pixels_max: int
    original_side_pixels_max: int
    decoder_memory_bytes_max: int
    large_decoder_memory_bytes_max: int
    decoder_cpu_s_max: int
    decoder_wall_s_max: float

    def __post_init__(self) -> None:
        if not self.decoder_memory_bytes_max <= self.large_decoder_memory_bytes_max:
            raise ValueError(
                f"decoder_memory_bytes_max={self.decoder_memory_bytes_max} must be at most "
                f"large_decoder_memory_bytes_max={self.large_decoder_memory_bytes_max}"
            )
