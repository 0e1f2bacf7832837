"""The twins in memory keep what the ports promise."""

from tests.contract.cache_suite import CacheSuite
from tests.contract.checkpoints_suite import CheckpointsSuite
from tests.contract.cleaning_suite import (
    CleaningPositionsSuite,
    ForgottenRenditionsSuite,
    MissingObjectsSuite,
    PhotoScanSuite,
)
from tests.contract.counted_suite import CountedSetsSuite
from tests.contract.edges_suite import OutgoingEdgesSuite
from tests.contract.media_suite import MediaObjectsSuite, PartsSuite, SignedPutSuite
from tests.contract.photos_suite import AuthorPhotosSuite, PhotosSuite
from tests.contract.small_suite import (
    AuthorsSuite,
    OriginalsSuite,
    ParkedPhotosSuite,
    PulledAuthorsSuite,
    RebuildBudgetSuite,
    ShardLeasesSuite,
    StopsSuite,
)
from tests.contract.timelines_suite import RebuildSuite, RingBytesSuite, TimelinesSuite
from tests.contract.uploads_suite import UploadKeysSuite, UploadLimitSuite, UploadsSuite


class TestPhotos(PhotosSuite):
    pass


class TestAuthorPhotos(AuthorPhotosSuite):
    pass


class TestOutgoingEdges(OutgoingEdgesSuite):
    pass


class TestCountedSets(CountedSetsSuite):
    pass


class TestTimelines(TimelinesSuite):
    pass


class TestRebuild(RebuildSuite):
    pass


class TestRingBytes(RingBytesSuite):
    pass


class TestCheckpoints(CheckpointsSuite):
    pass


class TestCache(CacheSuite):
    pass


class TestAuthors(AuthorsSuite):
    pass


class TestPulledAuthors(PulledAuthorsSuite):
    pass


class TestParkedPhotos(ParkedPhotosSuite):
    pass


class TestStops(StopsSuite):
    pass


class TestOriginals(OriginalsSuite):
    pass


class TestRebuildBudget(RebuildBudgetSuite):
    pass


class TestShardLeases(ShardLeasesSuite):
    pass


class TestMediaObjects(MediaObjectsSuite):
    pass


class TestSignedPut(SignedPutSuite):
    pass


class TestParts(PartsSuite):
    pass


class TestUploads(UploadsSuite):
    pass


class TestUploadKeys(UploadKeysSuite):
    pass


class TestUploadLimit(UploadLimitSuite):
    pass


class TestPhotoScan(PhotoScanSuite):
    pass


class TestForgottenRenditions(ForgottenRenditionsSuite):
    pass


class TestMissingObjects(MissingObjectsSuite):
    pass


class TestCleaningPositions(CleaningPositionsSuite):
    pass
