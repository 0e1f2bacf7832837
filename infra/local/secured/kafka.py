"""Kafka with passwords (SCRAM) over TLS."""

from collections.abc import Sequence
from pathlib import Path

from infra.local.credentials import BROKER, USER, load_or_make_logins
from infra.local.secured.certificates import Authority
from infra.local.servers import probes
from infra.local.servers.kafka import KafkaServer


class SecuredKafkaServer(KafkaServer):
    """Clients and other brokers log in. The controllers trust each other, on the loopback."""

    def responds(self) -> bool:
        return probes.kafka_responds(self.port, Authority(self.home.secrets).file)

    def _write_properties(self) -> Path:
        properties, authority = super()._write_properties(), Authority(self.home.secrets)
        self._append_conf(
            properties,
            "secured.properties",
            port=self.port,
            controller_port=self._controller_port(self.name),
            broker=BROKER,
            password=load_or_make_logins(self.home.secrets).kafka_broker_password,
            identity=authority.identity(self.name),
            authority=authority.file,
        )
        return properties

    def _format_options(self) -> Sequence[str]:
        logins = load_or_make_logins(self.home.secrets)
        passwords = {USER: logins.kafka_password, BROKER: logins.kafka_broker_password}
        users = (f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in passwords.items())
        return [option for user in users for option in ("--add-scram", user)]
