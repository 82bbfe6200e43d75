"""The OpenAPI description of the whole API, made from the schemas that requests are checked by."""
