"""Barbican's own kmip_plugin, asked over standard input and output; it runs in Barbican's environment.

The first line says how to get into the server, each further one is JSON that is answered by a line of JSON.
"""

import base64
import json
import sys

from barbican.plugin import kmip_secret_store
from barbican.plugin.interface import secret_store


def main():
    said, answers = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    for name, value in json.loads(said.readline()).items():
        kmip_secret_store.CONF.set_override(name, value, group="kmip_plugin")
    plugin = kmip_secret_store.KMIPSecretStore(kmip_secret_store.CONF)
    name = f"{type(plugin).__module__}.{type(plugin).__name__}"
    print(json.dumps(name), file=answers, flush=True)
    for line in said:
        asked = json.loads(line)
        if asked["verb"] == "read":
            found = plugin.get_secret(asked["type"], asked["metadata"])
            answer = base64.b64encode(base64.b64decode(found.secret)).decode()
        elif asked["verb"] == "store":
            spec = secret_store.KeySpec(asked["algorithm"], asked["bit_length"])
            answer = plugin.store_secret(secret_store.SecretDTO(asked["type"], asked["payload"], spec, None))
        else:
            plugin.delete_secret(asked["metadata"])
            answer = None
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    sys.argv[1:] = []
    main()
