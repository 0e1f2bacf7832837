"""The cleaning of the media bucket, once in each process that makes renditions."""

from streams.jobs.cleaning.job import CleaningJob
from streams.kafka.producing.publisher import KafkaPublisher
from streams.worker.parts import SharedParts, Wired


def wire_cleaning(shared: SharedParts) -> Wired:
    """Run the cleaning again and again."""
    settings = shared.settings
    publisher = KafkaPublisher(shared.producer, namespace=settings.namespace, source=settings.event_source)
    return Wired(loops=[CleaningJob(settings, settings, shared.stores, shared.outbox, publisher).run])
