"""A workload file is read strictly, and says in one sentence what is wrong with it."""

import pytest

from bascule.gate.workload import WorkloadInvalid, read_workload, render

LEAST = """
service = "s"
[[operations]]
name = "create"
kind = "create"
weight = 1
path = "/k"
method = "POST"
ref = "ref"
body = { name = "$name", value = "$payload" }
[[operations]]
name = "read"
kind = "read"
weight = 2
path = "$ref"
"""
ORDER = '[[operations]]\nname = "order"\nkind = "order"\npath = "/o"\nref = "ref"\nbody = { name = "$name" }\n'
POLL = '[[operations]]\nname = "poll"\nkind = "poll"\npath = "$ref"\nstate = "s"\ndone = ["ok"]\n'


def refusal(tmp_path, text, **variables):
    file = tmp_path / "workload.toml"
    file.write_text(text)
    with pytest.raises(WorkloadInvalid) as refused:
        read_workload(file, variables)
    assert refused.value.next_command == f"edit {file}"
    return refused.value.fault


def test_the_key_managers_workload_is_the_documented_mix(workload_file):
    workload = read_workload(workload_file)
    total = sum(request.weight for request in workload.drawn())
    share = {kind: sum(r.weight for r in workload.of_kind(kind)) / total for kind in ("read", "create", "order")}
    assert share["read"] == pytest.approx(0.53)
    assert share["create"] == pytest.approx(0.22)
    assert share["order"] == pytest.approx(0.05)
    assert workload.of_kind("create")[1].upload_s == (1.0, 1.5)


def test_barbicans_workload_mixes_fast_and_slow_orders_by_data_alone(workload_file):
    recipes = workload_file.parents[2] / "src/bascule/fleet/recipes"
    workload = read_workload(recipes / "barbican/workload.toml")
    assert [order.body["type"] for order in workload.of_kind("order")] == ["key", "asymmetric"]
    assert [made.name for made in workload.one("poll").made] == ["secret_ref", "container_ref"]


def test_a_variable_of_the_command_line_overrides_the_files(tmp_path, workload_file):
    workload = read_workload(workload_file, {"project": "other"})
    assert render(workload.headers["X-Project-Id"], workload.variables) == "other"


def test_an_unknown_key_is_refused_with_a_near_match(tmp_path):
    assert "'wieght'; did you mean 'weight'" in refusal(tmp_path, LEAST.replace("weight = 1", "wieght = 1"))


def test_text_that_is_not_toml_and_a_missing_file_are_refused(tmp_path):
    assert "line 1" in refusal(tmp_path, "service = = 1")
    with pytest.raises(WorkloadInvalid, match="No such file"):
        read_workload(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (LEAST.replace('kind = "read"', 'kind = "reed"'), "must be one of"),
        (LEAST.replace('ref = "ref"\n', ""), "lacks 'ref'"),
        (LEAST.replace('name = "read"', 'name = "create"'), "described twice"),
        (LEAST.replace("$payload", "$pay"), "nobody sets the variable $pay; known here are name, payload"),
        (LEAST.replace("$payload", "$ 1"), "not a text with $variables"),
        (LEAST.replace("weight = 1", "").replace("weight = 2", ""), "there is no load"),
        (LEAST.split('[[operations]]\nname = "read"', maxsplit=1)[0], "no operation of kind 'read'"),
        (LEAST + ORDER, "would ever look at them"),
        (LEAST + ORDER + POLL + "weight = 1\n", "must have no weight"),
        (LEAST + '[[operations]]\nname = "again"\nkind = "read"\npath = "$ref"\n', "second of its kind"),
        (LEAST + 'compare = { ref = "$ref" }\n', "nobody sets the variable $ref"),
        (LEAST.replace('ref = "ref"', 'ref = "ref"\nupload_s = [1]'), "upload_s must be two numbers"),
        ("format = 2\n" + LEAST, "format 2 is not known here"),
    ],
)
def test_a_load_that_cannot_be_run_is_refused(tmp_path, text, fault):
    assert fault in refusal(tmp_path, text)
