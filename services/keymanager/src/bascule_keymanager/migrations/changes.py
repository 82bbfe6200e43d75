"""What each release changes in the schema, oldest first; a change that shipped is never edited."""

import sqlalchemy as sa

from bascule.schema import AddIndex, Change, Rename
from bascule_keymanager.migrations.secret_versions import SECRET_VERSIONS

__all__ = ["CHANGES"]

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
)
