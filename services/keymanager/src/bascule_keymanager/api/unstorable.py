"""Requests that name what no database takes: refused before anything looks for it."""

import falcon

from bascule_keymanager.api.secret_query import bad_query

__all__ = ["RefuseNul"]


class RefuseNul:
    """Refuses a NUL character in the path or the query; PostgreSQL has no text with one."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Let the request pass only without."""
        if "\0" in req.path:
            raise falcon.HTTPNotFound
        if "%00" in req.query_string:
            raise bad_query()
