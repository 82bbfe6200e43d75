"""Pages of secrets: which ones are asked for, and the two statements that list and count them.

A page picks its ids first, from an index where there is one, and only then reads what is shown of those few; one of a
whole project brings along what its secrets are counted by, where that saves the second statement. The statements are
made once for each kind of question, since making one takes longer than running it.
"""

import datetime as dt
import functools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from bascule_keymanager.storage.owners import living_secret
from bascule_keymanager.storage.secret_counts import NOTES
from bascule_keymanager.storage.shown_secrets import LISTED, listed_from
from bascule_keymanager.storage.tables import projects, secret_acl_users, secret_acls, secrets

__all__ = ["Comparison", "Listing", "SecretFilter", "SortKey", "listing"]

Comparison = Literal["gt", "gte", "lt", "lte", "eq"]
SortKey = Literal[
    "algorithm", "bit_length", "created", "expiration", "mode", "name", "secret_type", "status", "updated"
]
Field = Literal["name", "algorithm", "mode", "bit_length", "secret_type"]
Moment = Literal["created", "updated", "expiration"]


@dataclass(frozen=True, slots=True)
class SecretFilter:
    """Which secrets a list shows, and how it is sorted.

    `name`, `algorithm` and `mode` are SQL patterns, as in Barbican. The three moments are comparisons that all hold;
    each key of `sort` says whether it goes downwards. With `acl_user` the list is of the secrets, of whatever project,
    whose ACL names this user.
    """

    name: str | None = None
    algorithm: str | None = None
    mode: str | None = None
    bit_length: int | None = None
    secret_type: str | None = None
    created: tuple[tuple[Comparison, dt.datetime], ...] = ()
    updated: tuple[tuple[Comparison, dt.datetime], ...] = ()
    expiration: tuple[tuple[Comparison, dt.datetime], ...] = ()
    sort: tuple[tuple[SortKey, bool], ...] = ()
    acl_user: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One page as statements, with what they are run with besides `now`, `user`, `external`, `most` and `after`.

    `is_whole` when no condition leaves any of the project's secrets out; `has_own_order` when it is sorted otherwise
    than by their making. `later_page` is run with `past` and `past_id`, too: when that one was made, and its id.
    """

    page: sa.Select[Any]  # Any: the columns of LISTED
    noted_page: sa.Select[Any]  # Any: the same, and what the project's secrets are counted by
    later_page: sa.Select[Any]  # Any: the same, of those that come after one, in the order of their making
    count: sa.Select[int]
    parameters: dict[str, Any]  # Any: column values
    is_whole: bool
    has_own_order: bool


@dataclass(frozen=True, slots=True)
class _Question:
    """What of a filter shapes the statements; the values are theirs to be run with."""

    fields: tuple[Field, ...]
    moments: tuple[tuple[Moment, Comparison], ...]
    sort: tuple[tuple[SortKey, bool], ...]
    by_acl: bool


_FIELDS: dict[Field, sa.Column[Any]] = {
    "name": secrets.c.display_name,
    "algorithm": secrets.c.algorithm,
    "mode": secrets.c.mode,
    "bit_length": secrets.c.bit_length,
    "secret_type": secrets.c.secret_type,
}
_PATTERNS = ("name", "algorithm", "mode")
_MOMENTS: dict[Moment, sa.Column[dt.datetime]] = {
    "created": secrets.c.created_at,
    "updated": secrets.c.updated_at,
    "expiration": secrets.c.expiration,
}
_COMPARE: dict[Comparison, Callable[..., Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
}
_SORT: dict[SortKey, sa.Column[Any]] = {
    "algorithm": secrets.c.algorithm,
    "bit_length": secrets.c.bit_length,
    "created": secrets.c.created_at,
    "expiration": secrets.c.expiration,
    "mode": secrets.c.mode,
    "name": secrets.c.display_name,
    "secret_type": secrets.c.secret_type,
    "status": secrets.c.status,
    "updated": secrets.c.updated_at,
}


def listing(wanted: SecretFilter) -> Listing:
    """Return how to read a page of the wanted secrets; unsorted, the oldest first."""
    values: dict[str, Any] = {name: getattr(wanted, name) for name in _FIELDS if getattr(wanted, name) is not None}
    moments = [(name, *moment) for name in _MOMENTS for moment in getattr(wanted, name)]
    question = _Question(
        tuple(name for name in _FIELDS if name in values),
        tuple((name, comparison) for name, comparison, _ in moments),
        wanted.sort,
        wanted.acl_user is not None,
    )
    page, noted_page, later_page, count = _statements(question)
    values |= {f"{name} {comparison}": moment for name, comparison, moment in moments}
    is_whole = not values and wanted.acl_user is None
    if wanted.acl_user is not None:
        values["acl_user"] = wanted.acl_user
    return Listing(page, noted_page, later_page, count, values, is_whole, has_own_order=bool(wanted.sort))


@functools.lru_cache(maxsize=256)
def _statements(
    question: _Question,
) -> tuple[sa.Select[Any], sa.Select[Any], sa.Select[Any], sa.Select[int]]:  # Any: as in Listing
    conditions = [_theirs(question), living_secret, *_conditions(question)]
    by = [_SORT[key].desc() if downwards else _SORT[key].asc() for key, downwards in question.sort]
    order = (*by, secrets.c.created_at, secrets.c.id)

    def chosen(*more: sa.ColumnElement[bool]) -> sa.Subquery:
        return (
            sa.select(secrets.c.id)
            .where(*conditions, *more)
            .order_by(*order)
            .limit(sa.bindparam("most", type_=sa.Integer))
            .offset(sa.bindparam("after", type_=sa.Integer))
            .subquery("chosen")
        )

    def noted(ids: sa.Subquery) -> sa.Select[Any]:  # Any: as in Listing
        start = ids.join(NOTES, sa.true())
        return sa.select(*LISTED, *NOTES.c).select_from(listed_from(start, ids.c.id)).order_by(*order)

    first = chosen()
    page = sa.select(*LISTED).select_from(listed_from(first, first.c.id)).order_by(*order)
    count = sa.select(sa.func.count()).select_from(secrets).where(*conditions)
    return page, noted(first), noted(chosen(*_past())), count


def _past() -> Iterator[sa.ColumnElement[bool]]:
    # The same twice: PostgreSQL and SQLite find the first row in the index by the one, MariaDB by the other.
    made, identity = secrets.c.created_at, secrets.c.id
    past, past_id = sa.bindparam("past", type_=sa.DateTime), sa.bindparam("past_id", type_=sa.String(36))
    yield sa.tuple_(made, identity) > sa.tuple_(past, past_id)
    yield sa.or_(made > past, sa.and_(made == past, identity > past_id))


def _theirs(question: _Question) -> sa.ColumnElement[bool]:
    if not question.by_acl:
        # Not a join: PostgreSQL reads an index in its order only for one project that it knows of beforehand.
        external = projects.c.external_id == sa.bindparam("external")
        return secrets.c.project_id == sa.select(projects.c.id).where(external).scalar_subquery()
    users = secret_acl_users
    listed = sa.select(secret_acls.c.secret_id).join(users, users.c.acl_id == secret_acls.c.id)
    return secrets.c.id.in_(listed.where(users.c.user_id == sa.bindparam("acl_user")))


def _conditions(question: _Question) -> Iterator[sa.ColumnElement[bool]]:
    for name in question.fields:
        column, value = _FIELDS[name], sa.bindparam(name, type_=_FIELDS[name].type)
        yield column.like(value) if name in _PATTERNS else column == value
    for moment, comparison in question.moments:
        yield _COMPARE[comparison](_MOMENTS[moment], sa.bindparam(f"{moment} {comparison}", type_=sa.DateTime))
