"""The cleaning of the media bucket; each process that makes renditions runs one cleaning loop."""

from streams.jobs.cleaning.job import CleaningJob
from streams.kafka.producing.publisher import KafkaPublisher
from streams.worker.parts import SharedParts, Wired


def wire_cleaning(shared: SharedParts) -> Wired:
    """Run the cleaning periodically."""
    settings = shared.settings
    publisher = KafkaPublisher(shared.producer, namespace=settings.namespace, source=settings.event_source)
    return Wired(loops=[CleaningJob(settings, settings, shared.stores, shared.outbox, publisher).run])
