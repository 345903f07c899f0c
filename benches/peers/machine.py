"""What a measurement depends on besides what is measured: processor, cores, memory, versions, load."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = ["torch", "transformers", "openvino", "onnxruntime", "numpy"]


def processor() -> str:
    """As the system names it."""
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def slug() -> str:
    """A short name of the machine for files."""
    words = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", "", processor())
    return "-".join([*re.findall(r"[A-Za-z0-9]+", words), f"{os.cpu_count()}-cores"]).lower()


def conditions(serin: Path, repository: Path) -> dict:
    """Everything that stays the same during a comparison."""
    said = lambda *command: subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "serin": said(str(serin), "--version"),
        "commit": said("git", "-C", str(repository), "rev-parse", "--short", "HEAD"),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def busy_seconds() -> float:
    """Processor time of all programs of the machine since it started."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """Processor time of this process's children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def load_average() -> float:
    """Programs that wanted to run in the last minute, on average."""
    return round(os.getloadavg()[0], 2)
