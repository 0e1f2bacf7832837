"""What an original may be, and what making its renditions may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Every limit on one original and on the process that decodes it; filled from settings.

    `decoder_memory_bytes_max` is what a decoder may map beyond what it starts with. It is
    to be enough for every baseline JPEG and non-interlaced PNG, since those are read line by
    line: at 50 megapixels they took at most 104 MB in all. A progressive JPEG, an interlaced
    PNG or a large WebP must be held whole: up to 512 MB, for a progressive JPEG in CMYK. Those
    meet the limit at once and run again, one at a time, with `large_decoder_memory_bytes_max`.

    CPU time limits the work. `decoder_wall_s_max` only ends decoders that hang, so it must be generous: on
    a busy machine a decoder with low priority makes no progress, which is not its photo's fault.
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
