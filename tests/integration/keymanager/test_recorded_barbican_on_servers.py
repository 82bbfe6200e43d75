"""What real Barbican answered on SQLite, our key manager answers on PostgreSQL and MariaDB too."""

import pytest
from sqlalchemy.engine import make_url
from support.barbican_corpus import load
from support.barbican_lists import load_intended, load_not_yet, unintended
from support.keymanager_replay import CORPUS, replay_area

# Policies are judged before a database is asked: the matrices of roles are replayed on SQLite alone.
AREAS = [area for area in load(CORPUS) if not area.name.startswith("roles")]


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_an_area_is_answered_as_barbican_answers_it(kind, area, request, tmp_path):
    url = request.getfixturevalue(f"{kind}_url")
    intended, not_yet = load_intended(make_url(url).get_backend_name()), load_not_yet()
    outcomes = replay_area(area, tmp_path, url)
    assert len(outcomes) == len(area.pairs)
    differing = [o for o in outcomes if unintended(o, intended) and o.pair.id not in not_yet]
    assert not differing, "\n".join(map(str, differing))
