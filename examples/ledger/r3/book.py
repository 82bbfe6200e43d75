"""Models and operations of release 3."""

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The tables of release 3."""


class Account(Base):
    """Whose money it is."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    first_name: Mapped[str | None] = mapped_column(sa.String(100))
    last_name: Mapped[str | None] = mapped_column(sa.String(100))
    currency: Mapped[str] = mapped_column(sa.String(3), default="EUR")
    branch: Mapped[str] = mapped_column(sa.String(20), default="main")


class Posting(Base):
    """Money that came, or went."""

    __tablename__ = "postings"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(index=True)
    amount: Mapped[float] = mapped_column(sa.Double)
    reference: Mapped[str] = mapped_column(sa.String(200))


class Book:
    """What the service does."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def open(self, owner: str) -> int:
        """Open an account; return its number."""
        with Session(self.engine) as session, session.begin():
            first, _, last = owner.partition(" ")
            session.add(account := Account(first_name=first, last_name=last))
            session.flush()
            return account.id

    def post(self, account: int, cents: int, memo: str | None = None) -> int:
        """Post an amount; return the posting's number."""
        with Session(self.engine) as session, session.begin():
            session.add(posting := Posting(account_id=account, amount=cents / 100, reference=memo or ""))
            session.flush()
            return posting.id

    def correct(self, posting: int, cents: int, memo: str) -> None:
        """Write a posting anew."""
        with Session(self.engine) as session, session.begin():
            row = session.get_one(Posting, posting)
            row.amount, row.reference = cents / 100, memo

    def accounts(self) -> dict[int, str]:
        """Return the owner of each account."""
        with Session(self.engine) as session:
            rows = session.scalars(sa.select(Account).order_by(Account.id))
            return {row.id: f"{row.first_name} {row.last_name}" for row in rows}

    def postings(self, account: int) -> list[tuple[int, str]]:
        """Return cents and memo of each posting."""
        with Session(self.engine) as session:
            rows = session.scalars(sa.select(Posting).where(Posting.account_id == account).order_by(Posting.id))
            return [(round(row.amount * 100), row.reference) for row in rows]
