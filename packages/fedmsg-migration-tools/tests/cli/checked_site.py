# SPDX-License-Identifier: MIT
"""A real RabbitMQ with TLS and certificates as logins, the file that describes it, and its users' credentials."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import trustme

from fedmsg_migration_tools.broker.bus.definitions import of_state
from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import read
from fedora_messaging.private_node import PrivateNode

VHOST = "/pubsub"
PASSWORD = "a-password-of-the-archive"
BUS = """
[broker]
amqp_urls = ["{url}"]
ca_cert = "{ca}"
tls = true
plugins = ["rabbitmq_management"]

[users]
bodhi.certificate = true
reader.certificate = true
archive.password_env = "ARCHIVE_PASSWORD"
stranger.certificate = true

[vhosts."/pubsub".queues.archive]
bindings = [{{ exchange = "amq.topic" }}]

[vhosts."/pubsub".users.bodhi]
publish."amq.topic" = ["org.app.prod.#", "org.app.*.tag"]

[vhosts."/pubsub".users.reader]
manage = ["{{uuid}}"]
bind."amq.topic" = ["org.app.#"]

[vhosts."/pubsub".users.archive]
consume = ["archive"]

[leave]
users = ["{admin}"]
vhosts = ["/"]
"""


class Site:
    """The broker, its file, and a folder of credentials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.credentials = folder / "credentials"
        self.credentials.mkdir()
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(folder / "ca.pem")
        self.write("server", self._ca.issue_cert("localhost"), folder)
        for user in ("bodhi", "reader", "stranger"):
            self.issue(user)
        (self.credentials / "archive.password").write_text(PASSWORD + "\n")
        self.node = PrivateNode(
            plugins=("rabbitmq_management", "rabbitmq_auth_mechanism_ssl"),
            ports={"amqps": 0},
            config={
                "ssl_options.cacertfile": str(folder / "ca.pem"),
                "ssl_options.certfile": str(folder / "server.crt"),
                "ssl_options.keyfile": str(folder / "server.key"),
                "ssl_options.verify": "verify_peer",
                "ssl_options.fail_if_no_peer_cert": False,
                "ssl_options.versions.1": "tlsv1.3",
                "ssl_options.versions.2": "tlsv1.2",
                "ssl_cert_login_from": "common_name",
                "auth_mechanisms.1": "EXTERNAL",
                "auth_mechanisms.2": "PLAIN",
            },
        )

    def issue(self, name: str, user: str | None = None, folder: Path | None = None, **validity: Any) -> None:
        """A certificate for ``user``, in the files of ``name``."""
        user = user or name
        certificate = self._ca.issue_cert(f"{user}@example.org", common_name=user, **validity)
        self.write(name, certificate, folder or self.credentials)

    @staticmethod
    def write(name: str, certificate: trustme.LeafCert, folder: Path) -> None:
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")

    @property
    def file(self) -> Path:
        path = self.folder / "bus.toml"
        if not path.exists():
            url = f"amqps://localhost:{self.node.ports['amqps']}"
            path.write_text(BUS.format(url=url, ca=self.folder / "ca.pem", admin=self.node.user))
        return path

    def apply(self) -> None:
        """Make the broker what the file says."""
        wanted = desired(read(self.file), Secrets({"ARCHIVE_PASSWORD": PASSWORD}))
        self.node.management("POST", "/api/definitions", of_state(wanted))

    def permit(self, user: str, **rights: str) -> None:
        """Give permissions by hand; "topic" is what may be published to amq.topic."""
        for key, value in rights.items():
            where = quote(VHOST, safe="")
            if key == "topic":
                body = {"exchange": "amq.topic", "write": value, "read": value}
                self.node.management("PUT", f"/api/topic-permissions/{where}/{user}", body)
            else:
                path = f"/api/permissions/{where}/{user}"
                now = {"configure": "(?!)", "write": "(?!)", "read": "(?!)"}
                self.node.management("PUT", path, {**now, key: value})

    def waiting(self) -> str:
        """How many messages are in each queue, by the queues themselves."""
        return self.node.evaluate("[rabbit_amqqueue:stat(Q) || Q <- rabbit_amqqueue:list()]")
