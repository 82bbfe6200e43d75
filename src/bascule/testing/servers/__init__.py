"""Private servers for tests: PostgreSQL, MariaDB, RabbitMQ and HAProxy of this machine's packages.

Every server listens on 127.0.0.1 on a free port, keeps its files in a temporary directory, runs as an unprivileged user
when we are root, and is stopped by the ids of the processes that we started. All are context managers.
"""

from bascule.testing.servers.haproxy import HAProxy, one_backend
from bascule.testing.servers.instance import ServerFailed, clean_stale
from bascule.testing.servers.mariadb import MariaDB
from bascule.testing.servers.packages import PackageMissing
from bascule.testing.servers.ports import free_port
from bascule.testing.servers.postgresql import PostgreSQL
from bascule.testing.servers.rabbitmq import RabbitMQ

__all__ = [
    "HAProxy",
    "MariaDB",
    "PackageMissing",
    "PostgreSQL",
    "RabbitMQ",
    "ServerFailed",
    "clean_stale",
    "free_port",
    "one_backend",
]
