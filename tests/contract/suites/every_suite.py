"""Every suite as a class that pytest collects; a test module imports all of them and has the fixtures."""

from tests.contract.suites.budget_suite import LeasesSuite, RatesSuite, RebuildBudgetSuite
from tests.contract.suites.cache_suite import CacheSuite, CacheTailSuite, PageStartsSuite
from tests.contract.suites.checkpoints_suite import CheckpointsSuite
from tests.contract.suites.cleaning_suite import (
    CleaningPositionsSuite,
    ForgottenRenditionsSuite,
    MissingObjectsSuite,
    PhotoScanSuite,
    UserScanSuite,
)
from tests.contract.suites.coordination_suite import (
    HandledDeadLettersSuite,
    ShardLeasesSuite,
    StoppedPartitionsSuite,
    StoreClockSuite,
    StoreProbeSuite,
    StuckPartitionsSuite,
    SwitchesSuite,
    WorkerReportsSuite,
)
from tests.contract.suites.counted_suite import CountedSetsSuite
from tests.contract.suites.delivery_suite import (
    ActiveReadersSuite,
    AuthorsSuite,
    DeferredPostsSuite,
    PulledAuthorsSuite,
    UndeliveredPhotosSuite,
)
from tests.contract.suites.edges_suite import OutgoingEdgesSuite
from tests.contract.suites.media_suite import MediaObjectsSuite, OriginalsSuite, PartsSuite, SignedPutSuite
from tests.contract.suites.photos_suite import AuthorPhotosSuite, ParkedPhotosSuite, PhotosSuite
from tests.contract.suites.rebuild_suite import RebuildSuite
from tests.contract.suites.revocations_suite import RevocationsSuite
from tests.contract.suites.timelines_suite import RingBytesSuite, TimelinesSuite
from tests.contract.suites.uploads_suite import UploadKeysSuite, UploadLimitSuite, UploadsSuite

__all__ = [
    "TestActiveReaders",
    "TestAuthorPhotos",
    "TestAuthors",
    "TestCache",
    "TestCacheTail",
    "TestCheckpoints",
    "TestCleaningPositions",
    "TestCountedSets",
    "TestDeferredPosts",
    "TestForgottenRenditions",
    "TestHandledDeadLetters",
    "TestLeases",
    "TestMediaObjects",
    "TestMissingObjects",
    "TestOriginals",
    "TestOutgoingEdges",
    "TestPageStarts",
    "TestParkedPhotos",
    "TestParts",
    "TestPhotoScan",
    "TestPhotos",
    "TestPulledAuthors",
    "TestRates",
    "TestRebuild",
    "TestRebuildBudget",
    "TestRevocations",
    "TestRingBytes",
    "TestShardLeases",
    "TestSignedPut",
    "TestStoppedPartitions",
    "TestStoreClock",
    "TestStoreProbe",
    "TestStuckPartitions",
    "TestSwitches",
    "TestTimelines",
    "TestUndeliveredPhotos",
    "TestUploadKeys",
    "TestUploadLimit",
    "TestUploads",
    "TestUserScan",
    "TestWorkerReports",
]


class TestAuthors(AuthorsSuite):
    pass


class TestPulledAuthors(PulledAuthorsSuite):
    pass


class TestUndeliveredPhotos(UndeliveredPhotosSuite):
    pass


class TestDeferredPosts(DeferredPostsSuite):
    pass


class TestRebuildBudget(RebuildBudgetSuite):
    pass


class TestRates(RatesSuite):
    pass


class TestLeases(LeasesSuite):
    pass


class TestCache(CacheSuite):
    pass


class TestCacheTail(CacheTailSuite):
    pass


class TestCheckpoints(CheckpointsSuite):
    pass


class TestPhotoScan(PhotoScanSuite):
    pass


class TestUserScan(UserScanSuite):
    pass


class TestForgottenRenditions(ForgottenRenditionsSuite):
    pass


class TestMissingObjects(MissingObjectsSuite):
    pass


class TestCleaningPositions(CleaningPositionsSuite):
    pass


class TestCountedSets(CountedSetsSuite):
    pass


class TestOutgoingEdges(OutgoingEdgesSuite):
    pass


class TestMediaObjects(MediaObjectsSuite):
    pass


class TestSignedPut(SignedPutSuite):
    pass


class TestParts(PartsSuite):
    pass


class TestOriginals(OriginalsSuite):
    pass


class TestParkedPhotos(ParkedPhotosSuite):
    pass


class TestPhotos(PhotosSuite):
    pass


class TestAuthorPhotos(AuthorPhotosSuite):
    pass


class TestShardLeases(ShardLeasesSuite):
    pass


class TestStoppedPartitions(StoppedPartitionsSuite):
    pass


class TestStuckPartitions(StuckPartitionsSuite):
    pass


class TestHandledDeadLetters(HandledDeadLettersSuite):
    pass


class TestSwitches(SwitchesSuite):
    pass


class TestWorkerReports(WorkerReportsSuite):
    pass


class TestTimelines(TimelinesSuite):
    pass


class TestPageStarts(PageStartsSuite):
    pass


class TestActiveReaders(ActiveReadersSuite):
    pass


class TestRebuild(RebuildSuite):
    pass


class TestRevocations(RevocationsSuite):
    pass


class TestRingBytes(RingBytesSuite):
    pass


class TestUploads(UploadsSuite):
    pass


class TestUploadKeys(UploadKeysSuite):
    pass


class TestUploadLimit(UploadLimitSuite):
    pass


class TestStoreProbe(StoreProbeSuite):
    pass


class TestStoreClock(StoreClockSuite):
    pass
