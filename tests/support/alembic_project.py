"""A small Alembic project in a directory, as any service has one, whose revisions a test writes."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

REVISION = '''"""{message}"""

import sqlalchemy as sa
from alembic import op

from bascule.schema import *
from bascule.schema.alembic import Undecided

revision = "{name}"
down_revision = {down!r}
depends_on = {depends_on!r}
{head}

def upgrade():
    {upgrade}


def downgrade():
    pass
'''

ENV = """
import os
import sys
from alembic import context
import sqlalchemy as sa

sys.path.insert(0, os.path.dirname(__file__))
options = {}
{hooks}

connectable = sa.create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=sa.pool.NullPool)
with connectable.connect() as connection:
    metadata = context.config.attributes["metadata"]
    context.configure(connection=connection, target_metadata=metadata, **options)
    with context.begin_transaction():
        context.run_migrations()
"""

MAKO = (Path(sa.__file__).parents[1] / "alembic" / "templates" / "generic" / "script.py.mako").read_text()


class Project:
    """A directory with an ini file, env.py and versions/; Alembic's commands on it print what they say."""

    def __init__(self, path, url="", *, hooks=""):
        self.path, self.versions = path, path / "migrations" / "versions"
        self.versions.mkdir(parents=True)
        (path / "migrations" / "env.py").write_text(ENV.replace("{hooks}", hooks))
        (path / "migrations" / "script.py.mako").write_text(MAKO)
        self.ini = path / "alembic.ini"
        self.ini.write_text(f"[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = {url}\n")
        self.metadata = sa.MetaData()

    def revision(self, name, head="", *, down=None, upgrade="pass", depends_on=None):
        """Write a revision; `head` stands at the top of the module."""
        path = self.versions / f"{name}.py"
        path.write_text(
            REVISION.format(
                message=name,
                name=name,
                down=down,
                head=head,
                upgrade=upgrade.replace("\n", "\n    "),
                depends_on=depends_on,
            )
        )
        return path

    def config(self):
        told = io.StringIO()
        config = Config(str(self.ini), stdout=told)
        config.attributes["metadata"] = self.metadata
        return config, told

    def alembic(self, verb, *arguments, **options):
        """Run one of Alembic's commands; returns what it printed."""
        config, told = self.config()
        with redirect_stdout(told):
            getattr(command, verb)(config, *arguments, **options)
        return told.getvalue()

    def autogenerate(self, message="proposed"):
        """Return the text of the revision that Alembic writes, and its path."""
        config, _ = self.config()
        with redirect_stdout(io.StringIO()):
            script = command.revision(config, message, autogenerate=True)
        return Path(script.path).read_text(), Path(script.path)
