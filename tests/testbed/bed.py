# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml as a testbed: its containers, the operator's commands, the held traffic."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from typing import Any

from engine import ROOT, Engine, EngineError, Say
from testbed.holder import SILENCE_S
from testbed.traffic import Traffic

PROJECT = "tiara-test"
IMAGES = ("tiara/balancer", "tiara/backend", "tiara/client")
BUILT_SERVICES = ("balancer", "b1", "client")  # one for each image
DATAPLANE, CONTROLPLANE = "dataplane", "controlplane"
WAIT_S = 30.0


class Bed:
    """The containers of one project. `close` removes them, their networks, volumes and images."""

    def __init__(self, engine: Engine, say: Say) -> None:
        self.engine = engine
        self.project = PROJECT
        files = [ROOT / "docker-compose.yml", *engine.compose_files]
        self._compose = ["compose", "--project-name", PROJECT, "--progress", "plain"]
        self._compose += [word for path in files for word in ("--file", str(path))]
        self.images_before = set(self.images())
        self._remove()  # what a killed run left
        try:
            say("building images")
            self.compose("build", *BUILT_SERVICES)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Removes what it made; harmless when called again."""
        self._remove()
        for image in set(self.images()) - self.images_before:
            self.engine.docker("image", "rm", image)

    def _remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")

    # ---- docker

    def compose(self, *arguments: str, wait_s: float = 600.0) -> str:
        """Runs `docker compose ARGUMENTS`."""
        return self.engine.docker(*self._compose, *arguments, wait_s=wait_s)

    def typed(self, command: str) -> str:
        """Runs `docker compose ...` as the documentation has it, without a terminal."""
        docker, compose, verb, *rest = shlex.split(command)
        assert (docker, compose) == ("docker", "compose"), command
        return self.compose(verb, *(["--no-TTY"] if verb == "exec" else []), *rest)

    def images(self) -> list[str]:
        """The images of the project that are there."""
        listed = self.engine.docker("image", "ls", "--format", "{{.Repository}}").split()
        return [image for image in IMAGES if image in listed]

    def left(self) -> list[str]:
        """Containers, networks and volumes of the project."""
        label = f"label=com.docker.compose.project={PROJECT}"
        return [
            f"{kind} {name}"
            for kind, verb in (("container", "ps"), ("network", "network"), ("volume", "volume"))
            for name in self.engine.docker(
                *(("ps", "--all") if verb == "ps" else (verb, "ls")), "--quiet", "--filter", label
            ).split()
        ]

    def inspect(self, service: str) -> dict[str, Any]:
        """All that docker knows of a service's container."""
        [found] = json.loads(self.engine.docker("inspect", self._container(service)))
        described: dict[str, Any] = found
        return described

    def _container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def state(self, service: str) -> dict[str, Any]:
        """The state of a service's container: Status, ExitCode ..."""
        state: dict[str, Any] = self.inspect(service)["State"]
        return state

    def inside(self, service: str, *command: str) -> str:
        """Runs a command in a container."""
        return self.compose("exec", "--no-TTY", service, *command, wait_s=60)

    def kill(self, *services: str) -> None:
        """kill -9 of the containers' processes."""
        self.engine.docker("kill", "--signal", "KILL", *map(self._container, services))

    def start(self, *services: str) -> None:
        """Starts killed containers again."""
        self.engine.docker("start", *map(self._container, services))

    def logs(self, *services: str) -> str:
        """What the containers said last."""
        return self.compose("logs", "--no-color", "--tail", "20", *services)

    # ---- the operator

    def tiara(self, command: str) -> str:
        """A command of the CLI: it calls the gRPC API."""
        return self.inside(CONTROLPLANE, "tiara", *shlex.split(command)).strip()

    def tiara_json(self, command: str) -> Any:
        """The same, as JSON."""
        return json.loads(self.tiara(command + " -o json"))

    def health(self) -> dict[str, str]:
        """Every backend's health check."""
        listed = self.tiara_json("backend list")["backends"]
        return {each["name"].rpartition("/")[2]: each["status"].get("health", "") for each in listed}

    def table(self) -> dict[tuple[str, int], str]:
        """The connection table: which backend has (protocol, client port)."""
        found = {}
        for each in self.tiara_json("connection list --limit 0")["connections"]:
            protocol = each["protocol"].removeprefix("PROTOCOL_").lower()
            client_port = each.get("clientPort", each.get("client_port"))
            found[protocol, int(client_port)] = each["backend"].rpartition("/")[2]
        return found

    def wait_for(self, what: str, is_so: Callable[[], object], wait_s: float = WAIT_S) -> None:
        """Asks until it is so; EngineError with the daemons' logs when it does not come."""
        deadline = time.monotonic() + wait_s
        last = ""
        while time.monotonic() < deadline:
            try:
                if is_so():
                    return
            except EngineError as error:
                last = f"\n{error}"
            time.sleep(0.1)
        raise EngineError(f"waited {wait_s:.0f} s for {what}{last}")

    def wait_ready(self) -> None:
        """Until both daemons run and know the newest revision."""
        self.wait_for("both daemons", lambda: self.tiara_json("node").get("dataplaneLive"))

    def traffic(self) -> ContainerTraffic:
        """The holder, in the client's container."""
        command = [*self._compose, "exec", "--no-TTY", "client", "python3", "/usr/local/bin/holder.py"]
        return ContainerTraffic([self.engine.docker_path, *command], self.engine.env)


class ContainerTraffic(Traffic):
    """The held traffic of the system tests, with its process in the client's container."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        folder = ROOT / "build" / "containers"
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "holder.log").open("ab")
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    def settle(self, since: float, hold_s: float) -> None:
        """Waits until hold_s after `since` and until each flow has had an answer or is broken."""
        time.sleep(max(0.0, since + hold_s - time.monotonic()))
        while (elapsed := time.monotonic() - since) < SILENCE_S + 1.5:
            if self._ask("waiting")["oldest_ms"] < elapsed * 1000:
                return
            time.sleep(0.05)
