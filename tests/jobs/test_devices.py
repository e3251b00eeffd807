"""Which devices a request means, found without torch, and the order of the queue."""

import importlib.util
import os
import runpy
import stat
from pathlib import Path

import pytest

from mia_tui.errors import MiaError
from mia_tui.jobs import devices, launch


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """A machine with as many GPUs as asked: a stand-in for nvidia-smi in the path, torch built for CUDA."""

    def install(count, *, cuda_torch=True):
        lines = [f"GPU {number}: NVIDIA H100 80GB (UUID: GPU-{number}{number})" for number in range(count)]
        program = tmp_path / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(devices, "torch_has_cuda", lambda: cuda_torch)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices.visible_gpus.cache_clear()
    yield install
    devices.visible_gpus.cache_clear()


def test_auto_is_every_gpu_or_the_cpu(gpus):
    gpus(2)
    assert devices.candidates("auto") == ["cuda:0", "cuda:1"]
    assert devices.candidates("cuda") == ["cuda:0"]
    assert devices.candidates("cuda:1") == ["cuda:1"]
    with pytest.raises(MiaError, match="offers 2 CUDA GPUs"):
        devices.candidates("cuda:2")


def test_without_a_gpu_auto_is_the_cpu(gpus):
    gpus(0)
    assert devices.candidates("auto") == ["cpu"]
    with pytest.raises(MiaError, match="Use cpu or auto"):
        devices.candidates("cuda")


def test_a_torch_without_cuda_cannot_use_the_gpus(gpus):
    gpus(4, cuda_torch=False)
    assert devices.candidates("auto") == ["cpu"]


@pytest.mark.parametrize(
    ("value", "count"),
    [("", 0), ("-1", 0), ("1", 1), ("0,3", 2), ("0,9,1", 1), ("GPU-33,GPU-11", 2), ("MIG-a,MIG-b", 2)],
)
def test_cuda_visible_devices_is_honoured(gpus, monkeypatch, value, count):
    gpus(4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert devices.visible_gpus() == count


def test_whether_torch_has_cuda_agrees_with_torch_itself():
    version = Path(importlib.util.find_spec("torch").origin).with_name("version.py")
    assert devices.torch_has_cuda() == (runpy.run_path(str(version))["cuda"] is not None)


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("cuda: Optional[str] = '12.8'\n", True),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.2'\n", False),
        ("cuda = '11.8'\n", True),
        ("", False),
    ],
)
def test_torch_built_without_cuda_is_recognised(tmp_path, monkeypatch, text, cuda):
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    (package / "version.py").write_text(text)
    spec = importlib.util.spec_from_file_location("torch", package / "__init__.py")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: spec)
    assert devices.torch_has_cuda() is cuda


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path))
    return tmp_path


def test_the_queue_serves_in_order_and_skips_the_dead(state):
    first, second, third = (devices.enqueue("cuda:0", state / "project" / "runs" / name) for name in "abc")
    assert devices.try_take(second) is None  # free, but not its turn
    assert devices.waiting_before(third) == 2
    lock = devices.try_take(first)
    assert lock is not None
    devices.leave(first)
    assert devices.try_take(second) is None  # its turn, but taken
    os.close(second.handle)  # dies without leaving
    assert devices.waiting_before(third) == 0
    assert not second.ticket.exists()
    assert devices.try_take(third) is None
    os.close(lock)
    lock = devices.try_take(third)
    assert lock is not None
    os.close(lock)
    devices.leave(third)
    assert [path.name for path in third.folder.iterdir()] == ["lock"]


def test_queues_of_two_devices_do_not_meet(state):
    one, two = (devices.enqueue(name, state) for name in ("cuda:0", "cuda:1"))
    handles = [devices.try_take(one), devices.try_take(two)]
    assert None not in handles
    for handle, place in zip(handles, (one, two), strict=True):
        os.close(handle)
        devices.leave(place)


def test_a_state_folder_that_cannot_be_used_names_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "file"))
    with pytest.raises(MiaError, match="MIA_TUI_STATE"):
        devices.enqueue("cpu", tmp_path)


def test_the_environment_keeps_what_the_user_set_and_fits_the_container(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTHONPATH", f"lib{os.pathsep}/opt/lib")
    monkeypatch.setattr(launch.os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(launch, "cpu_quota", lambda: 3.5)
    values = launch.environment()
    assert values["HF_HUB_OFFLINE"] == "0"
    assert values["NO_ALBUMENTATIONS_UPDATE"] == "1"
    assert values["OMP_NUM_THREADS"] == "3"
    assert values["PYTHONPATH"] == f"{os.path.abspath('lib')}{os.pathsep}/opt/lib"
    monkeypatch.setattr(launch, "cpu_quota", lambda: None)
    assert "OMP_NUM_THREADS" not in launch.environment()
