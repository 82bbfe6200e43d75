"""/v1/quotas and /v1/project-quotas: what holds for the caller's project, and what is set for others."""

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import PROJECT_QUOTAS
from bascule_keymanager.api.body import check_media_type, parse_json
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen, operation
from bascule_keymanager.api.links import page_document, requested_page
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.quotas import QuotaStore

__all__ = ["ProjectQuotasResource", "ProjectsQuotasResource", "QuotasResource"]

_LONGEST_PROJECT = 255


class QuotasResource:
    """The quotas of the caller's project."""

    def __init__(self, store: QuotaStore, projects: Projects) -> None:
        self._store, self._projects = store, projects

    @operation("Quotas")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show what holds, set or configured."""
        authorize(req, "quotas:get")
        project = caller_of(req).project
        self._projects.get_or_create(project)
        send(resp, {"quotas": self._store.effective(project)})


class ProjectsQuotasResource:
    """The quotas that were set for projects."""

    def __init__(self, settings: Settings, store: QuotaStore) -> None:
        self._settings, self._store = settings, store

    @operation("Project Quotas")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show one page of them."""
        authorize(req, "project_quotas:get")
        page = requested_page(req, self._settings)
        found, total = self._store.page(limit=page.limit, offset=page.offset)
        items = [{"project_id": project, "project_quotas": quotas} for project, quotas in found]
        # The links say project_quotas, as Barbican's do; there the list is found as well, which Barbican's is not.
        send(resp, page_document(req, self._settings, "project_quotas", page, items, total, link_empty=True))


class ProjectQuotasResource:
    """The quotas that were set for one project."""

    def __init__(self, settings: Settings, store: QuotaStore, projects: Projects) -> None:
        self._settings, self._store, self._projects = settings, store, projects

    @operation("Project Quotas")
    def on_get(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        """Show them; what is not set is null."""
        authorize(req, "project_quotas:get")
        quotas = self._store.own(project_id)
        if quotas is None:
            raise _not_found()
        send(resp, {"project_quotas": quotas})

    @operation("Project Quotas")
    def on_put(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        """Set those that the body names."""
        authorize(req, "project_quotas:put")
        check_media_type(req)
        raw = req.bounded_stream.read(self._settings.max_request_bytes)
        if not raw:
            raise IssueSeen(400, "No data supplied to process.")
        body = parse_json(raw, PROJECT_QUOTAS.name)
        PROJECT_QUOTAS.check(body)
        if len(project_id) > _LONGEST_PROJECT:
            raise ApiRefusal(400, f"A project's id has at most {_LONGEST_PROJECT} characters.")
        quotas = {name: int(number) for name, number in body["project_quotas"].items()}
        self._store.put(self._projects.get_or_create(project_id).id, quotas)
        resp.status = 204

    @operation("Project Quotas")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, project_id: str) -> None:
        """Take them away: what is configured holds again."""
        authorize(req, "project_quotas:delete")
        if not self._store.delete(project_id):
            raise _not_found()
        resp.status = 204


def _not_found() -> ApiRefusal:
    return ApiRefusal(404, "Project quotas not found.")
