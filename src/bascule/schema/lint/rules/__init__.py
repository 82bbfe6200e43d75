"""Every rule of the linter, as one table. A code may have a row per database; see docs/reference/lint.md."""

from bascule.schema.lint.rules.columns import COLUMN_RULES
from bascule.schema.lint.rules.constraints import CONSTRAINT_RULES
from bascule.schema.lint.rules.data import DATA_RULES, WHOLE_RULES
from bascule.schema.lint.rules.indexes import INDEX_RULES
from bascule.schema.lint.rules.rule import Around, Rule
from bascule.schema.lint.rules.tables import TABLE_RULES
from bascule.schema.lint.rules.types import TYPE_RULES

__all__ = ["ACTION_RULES", "RULES", "WHOLE_RULES", "Around", "Rule"]

ACTION_RULES = (*COLUMN_RULES, *TYPE_RULES, *CONSTRAINT_RULES, *INDEX_RULES, *TABLE_RULES, *DATA_RULES)
RULES = (*ACTION_RULES, *WHOLE_RULES)
