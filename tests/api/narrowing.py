"""The document as the tester gets it: the same, but with the names of what is really there, so that
handlers are not left at their first line; and with answers that may hold nothing that is not described."""

import copy

SUCH_A_NAME = "^api-[a-z]{1,6}$"
# Fields just as others that stay.
ALIKE = {None: ["nodeSelector", "startingDeadlineSeconds", "firstRun", "restartPolicy"],
         "healthChecks": ["startup", "liveness"], "container": ["command", "workingDir"], "resources": ["requests"],
         "security": ["runAsGroup", "fsGroup", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "addCapabilities"]}
SCHEDULES = ["0 3 * * *", "@daily", "0 0 1 1 *", "every day"]


def with_names(document, namespace, services, idle, victims, runs, deliveries, image, token):
    """`services` may be looked at, the last of them changed, `idle` run, `victims` deleted; `runs` are those of the
    first of `services`. None of them is there in vain: a name that nobody has is among each."""
    told = copy.deepcopy(document)
    components, paths = told["components"], told["paths"]
    schemas, parameters = components["schemas"], components["parameters"]
    schemas["Namespace"] = {"enum": [namespace]}
    schemas["SignIn"]["properties"]["token"] = {"enum": [token]}  # wrong ones are answered ever more slowly
    parameters["name"]["schema"] = {"enum": [*services, "nobody"]}
    parameters["run"]["schema"] = {"enum": [*runs, "nobody"]}
    parameters["ifMatch"]["schema"] = {"enum": ["*", '"0"']}  # of any document; of none
    parameters["build"]["schema"] = {"type": "string", "enum": ["b-1", "1", "b-999"]}
    paths["/v1/deliveries/{delivery}"]["parameters"][0]["schema"] = {"enum": [*deliveries, "nobody"]}
    one = lambda names: {"name": "name", "in": "path", "required": True, "schema": {"enum": [*names, "nobody"]}}
    service = "/v1/services/{namespace}/{name}"
    paths[service]["delete"]["parameters"].append(one(victims))
    before = next(each for each in paths[service + "/runs"]["get"]["parameters"] if each.get("name") == "before")
    before["schema"] = {"enum": ["2026-11-24T08:00:00Z", "1999-12-31T23:59:59.5+14:00"]}  # not of the year 1013
    paths[service]["patch"]["parameters"].append(one(services[-1:]))
    paths[service + "/runs"]["post"]["parameters"].append(one([idle]))
    for path in (service + "/runs/{run}", service + "/runs/{run}/logs"):
        paths[path]["get"]["parameters"] = [*paths[path]["get"].get("parameters", []), one(services[:1])]
    for use in ("Document", "DocumentPatch"):
        properties = schemas[use]["properties"]
        properties["namespace"] = {"enum": [namespace]}
        properties["name"] = {"type": "string", "pattern": SUCH_A_NAME}
        properties["schedule"] = {"enum": SCHEDULES}
        properties["source"] = {"enum": [{"image": image}]}
        del properties["image"]  # of Git sources only
        for group, keys in ALIKE.items():
            for key in keys:
                del (properties[group]["properties"] if group else properties)[key]
    del paths[service]["patch"]["requestBody"]["content"]["application/json"]  # the same again
    for key in ("env", "ports", "healthChecks", "security", "volumes"):  # as in a whole document, which is enough
        del schemas["DocumentPatch"]["properties"][key]
    schemas["DocumentPatch"]["properties"]["name"] = {"enum": services[-1:]}
    schemas["CopyRequest"]["properties"]["name"] = {"type": "string", "pattern": SUCH_A_NAME}
    schemas["AdoptRequest"]["properties"]["name"] = {"enum": [idle, "nobody"]}
    return closed(told)


def closed(document):
    """Clients must take members that they do not know; what this very agent answers is all described."""
    schemas = document["components"]["schemas"]
    sent = {"Document", "DocumentPatch", *(name for name in schemas if name.endswith("Request"))}
    for name in schemas.keys() - sent:
        close(schemas[name])
    return document


def close(schema):
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            close(value)
    elif isinstance(schema, list):
        for value in schema:
            close(value)
