"""`omnigate doctor`: looks at everything that can be wrong, and says what to do."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli.client import Api, with_api
from gateway.cli.configure import print_check
from gateway.cli.options import add_settings


def add(commands: Any) -> None:
    command = commands.add_parser(
        "doctor",
        help="check the store, the rules and every inbox",
        epilog="example: omnigate doctor. Exit code 1 if anything needs attention.",
    )
    add_settings(command, "store", "data")
    command.set_defaults(run=with_api(examine))


async def examine(arguments: argparse.Namespace, api: Api) -> int:
    well = True
    async for inbox in api.each("/inboxes"):
        well = await print_check(api, inbox) and well
    rules = await api.call("GET", "/rules")
    answer = await api.call("POST", "/rules/check", {"files": rules["files"]})
    for problem in answer["problems"]:
        print(f"FAIL rules: {problem['message']} (line {problem['line']})")
    well = well and answer["ok"]
    queues = [queue async for queue in api.each("/queues")]
    agents = [agent async for agent in api.each("/agents") if agent["enabled"]]
    for queue in queues:
        served = [agent for agent in agents if not queue["agent_ids"] or agent["id"] in queue["agent_ids"]]
        if queue["type"] == "human" and not served:
            print(f"FAIL queue {queue['name']}: nobody serves it; name agents for it, or leave its list empty")
            well = False
    dead = await api.call("GET", "/deliveries", dead="true", limit=1)
    if dead["items"]:
        print("FAIL outbox: some answers could not be sent; see GET /api/v1/deliveries?dead=true and retry them")
        well = False
    print("all is well" if well else "some things need attention")
    return 0 if well else 1
