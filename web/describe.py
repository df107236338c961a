"""Print the records of the API as an OpenAPI document, from which `npm run types` makes the page's types."""

import json

from facefill.server.openapi import document


def records() -> dict[str, object]:
    """The part of the description that does not depend on what is installed."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "facefill", "version": "1"},
        "paths": {},
        "components": {"schemas": document()["components"]["schemas"]},
    }


if __name__ == "__main__":
    print(json.dumps(records(), indent=2))
