"""What each release changes in the schema, oldest first; a change that shipped is never edited."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from bascule.schema import AddColumn, AddIndex, Change, Rename
from bascule_keymanager.migrations.secret_counts import SECRET_COUNTS
from bascule_keymanager.migrations.secret_versions import SECRET_VERSIONS

__all__ = ["CHANGES", "ORDERS_SEALED"]

# As long as this one is not contracted, every sealed order is there unsealed, too.
ORDERS_SEALED = "orders-sealed-meta"

# 2026.2, the first release, works on Barbican's schema as it is. From 2027.1 on the columns are named for what they
# hold: the name that people gave a secret, and the detail behind an order's sub-status. The API's names stay.
CHANGES: tuple[Change, ...] = (
    Rename(
        id="secrets-display-name",
        release="2027.1",
        table="secrets",
        old="name",
        new="display_name",
        type=sa.String(255),
    ),
    Rename(
        id="orders-status-detail",
        release="2027.1",
        table="orders",
        old="sub_status_message",
        new="status_detail",
        type=sa.String(255),
    ),
    # From 2027.2 on a large project's secrets are counted, and the ids of a page picked, from this index alone, in the
    # order of their making. Barbican's tables have nothing like it.
    AddIndex(
        id="secrets-listed",
        release="2027.2",
        table="secrets",
        name="ix_secrets_listed",
        columns=["project_id", "deleted", "created_at", "id", "expiration"],
    ),
    # From 2028.1 on a secret has versions. The payload of the current one stays where it was.
    *SECRET_VERSIONS,
    # From 2028.1 on the meta of an order, which may hold a passphrase, is kept sealed beside the plain one that older
    # releases read, and instead of it once they are gone. Longer than MariaDB's TEXT: a seal adds to what it seals.
    # The key comes first, so that it goes last on the way back, when what is sealed is opened.
    AddColumn(
        id="orders-sealed-meta-kek",
        release="2028.1",
        table="orders",
        column="sealed_meta_kek_id",
        type=sa.String(36),
    ),
    AddColumn(
        id=ORDERS_SEALED,
        release="2028.1",
        table="orders",
        column="sealed_meta",
        type=sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"),
    ),
    # From 2028.2 on whoever adds or deletes a secret notes so, and a list tells how many there are without counting.
    SECRET_COUNTS,
)
