"""How programs join a secured stack."""

import json
from collections.abc import Mapping
from pathlib import Path

from infra.local.credentials import USER, load_or_make_logins
from infra.local.secured.certificates import Authority


def secured_environment(secrets: Path, redis: str, s3: str) -> Mapping[str, str]:
    """The settings that differ from those of an ordinary stack; `redis` and `s3` are `host:port`."""
    logins, authority = load_or_make_logins(secrets), str(Authority(secrets).file)
    kafka = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": logins.kafka_password,
        "ssl.ca.location": authority,
    }
    return {
        "SHUTTERLINE_KAFKA_SECURITY": json.dumps(kafka, separators=(",", ":")),
        "SHUTTERLINE_CASSANDRA_USERNAME": USER,
        "SHUTTERLINE_CASSANDRA_PASSWORD": logins.cassandra_password,
        "SHUTTERLINE_CASSANDRA_TLS_CA": authority,
        "SHUTTERLINE_REDIS": f"rediss://{USER}:{logins.redis_password}@{redis}/0",
        "SHUTTERLINE_REDIS_TLS_CA": authority,
        "SHUTTERLINE_S3": f"https://{s3}",
        "SHUTTERLINE_S3_TLS_CA": authority,
    }
