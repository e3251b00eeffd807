"""Assists end to end: exported models, asked by the client through the real helper process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import assist_models
import numpy as np
import pytest
import shapely
import tifffile
import torch
from assist_models import disc
from engine_helpers import card, make_project, tiny_network
from test_assist import tiny_sam

from mia_tui.engine.assist.messages import (
    AssistRequest,
    Click,
    Pixels,
    PlaneRef,
    Prompt,
    Stroke,
    pack,
    read_answer,
    request_message,
    unpack,
)
from mia_tui.engine.assist.planes import Planes
from mia_tui.engine.assist.trained import Trained
from mia_tui.engine.bundle import save_model
from mia_tui.errors import MiaError
from mia_tui.jobs.assist import HELPER, AssistClient, assists
from mia_tui.jobs.assist_process import log_path
from mia_tui.labeling.raster import fill
from mia_tui.project import Project

ROOT = Path(__file__).parents[2]
EXTREMES = ((70.5, 150.0), (129.5, 150.0), (100.0, 120.5), (100.0, 179.5))
WAIT = 60.0


def wait_until(condition, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's assist folder with tiny models, good and bad."""
    folder = tmp_path_factory.mktemp("assist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIA_TUI_ASSIST", str(folder))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        assist_models.add(folder, "extremes", assist_models.Bright(), "dextr")
        assist_models.add(folder, "extremes2", assist_models.Bright(), "dextr", ".pt2")
        assist_models.add(folder, "clicks", assist_models.NearClicks(), "points", sigma=8)
        assist_models.add(folder, "sobel", assist_models.Sobel(), "edges", output="probability")
        assist_models.add(folder, "slow", assist_models.Slow(), "edges", output="probability")
        assist_models.add(folder, "endless", assist_models.Endless(), "dextr")
        assist_models.add(folder, "raising", assist_models.Raising(), "dextr")
        assist_models.add(folder, "halving", assist_models.Halving(), "dextr")
        assist_models.add(folder, "swapped", assist_models.NearClicks(), "dextr")
        assist_models.add(folder, "broken", assist_models.Bright(), "dextr")
        (folder / "broken.pt").write_bytes((folder / "extremes.pt").read_bytes()[:999])
        assist_models.add(folder, "page", assist_models.Bright(), "dextr")
        (folder / "page.pt").write_text("<html>Sign in</html>")
        yield folder


@pytest.fixture(scope="module")
def entries(folder):
    return {entry.name: entry for entry in assists(None)}


@pytest.fixture(scope="module")
def client(folder):
    """One helper for all tests that do not end it."""
    client = AssistClient(device="cpu")
    client.start()
    yield client
    client.close()


def outline_iou(outline, picture) -> float:
    rows, columns, inside = fill(outline, picture.shape[1:])
    mask = np.zeros(picture.shape[1:], bool)
    mask[rows, columns] = inside
    truth = picture[0] > 500
    return float((mask & truth).sum() / (mask | truth).sum())


# ---- what the models find --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["extremes", "extremes2"])
def test_four_extreme_points_find_the_disc_among_others(client, entries, name) -> None:
    picture = np.maximum(disc(), np.maximum(disc(40, 60, 20), disc(100, 215, 20)))
    answer = client.ask(AssistRequest(entries[name], Pixels(picture), Prompt(extremes=EXTREMES))).result(WAIT)
    (found,) = answer.objects
    assert outline_iou(found.outline, disc()) > 0.95
    assert found.outline.contains(shapely.Point(150, 100))
    areas = [rung.outline.area for rung in found.rungs]
    assert areas == sorted(areas)
    assert len(areas) > 3
    assert all(inner.outline.within(outer.outline) for inner, outer in pairwise(found.rungs))
    assert found.rungs[found.chosen].level == 0.5


def test_an_object_at_the_image_border_is_cut_there(client, entries) -> None:
    picture = disc(5, 290)
    prompt = Prompt(extremes=((0, 290), (35, 290), (5, 260), (5, 300)))
    (found,) = client.ask(AssistRequest(entries["extremes"], Pixels(picture), prompt)).result(WAIT).objects
    assert outline_iou(found.outline, picture) > 0.9
    assert shapely.box(0, 0, 300, 200).covers(found.outline)


def test_clicks_and_strokes_choose_and_take_away(client, entries) -> None:
    picture = np.maximum(disc(100, 130, 12), disc(100, 165, 12))

    def at(prompt: Prompt):
        return client.ask(AssistRequest(entries["clicks"], Pixels(picture), prompt)).result(WAIT).objects

    (one,) = at(Prompt(points=(Click(100, 130), Click(100, 165, positive=False))))
    assert one.outline.intersects(shapely.Point(130, 100))
    assert not one.outline.intersects(shapely.Point(165, 100))
    (both,) = at(Prompt(strokes=(Stroke(((100, 125), (100, 170))),)))
    assert both.outline.intersects(shapely.Point(130, 100))
    assert both.outline.intersects(shapely.Point(165, 100))
    assert at(Prompt(points=(Click(20, 20),))) == ()


def test_edges_of_the_view_do_not_depend_on_its_tiles(client, entries) -> None:
    picture = disc()
    whole = client.ask(AssistRequest(entries["sobel"], Pixels(picture))).result(WAIT).edges
    assert whole.values.dtype == np.float16
    assert whole.values.shape == (200, 300)
    assert whole.values[100, 120] > 0.5
    assert whole.values[100, 150] == 0
    part = client.ask(AssistRequest(entries["sobel"], Pixels(picture), view=(61, 73, 190, 400))).result(WAIT).edges
    assert part.offset == (61, 73)
    np.testing.assert_array_equal(part.values, whole.values[61:190, 73:])


def test_a_plane_of_a_project_is_read_by_the_helper(client, entries, tmp_path) -> None:
    (tmp_path / "images").mkdir()
    stack = np.stack([disc(50, 50, 10)[0], disc()[0], disc(150, 50, 10)[0]])
    tifffile.imwrite(tmp_path / "images" / "film.tif", stack, imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "project", images=tmp_path / "images")
    plane = PlaneRef(project.folder, "film.tif", t=1)
    request = AssistRequest(entries["extremes"], plane, Prompt(extremes=EXTREMES))
    (found,) = client.ask(request).result(WAIT).objects
    assert outline_iou(found.outline, disc()) > 0.95
    gone = AssistRequest(entries["extremes"], PlaneRef(project.folder, "other.tif"), Prompt(extremes=EXTREMES))
    with pytest.raises(MiaError, match=r"no image 'other\.tif'"):
        client.ask(gone).result(WAIT)


def test_a_model_of_the_project_proposes_and_writes_nothing(client, tmp_path) -> None:
    project = make_project(tmp_path, 1, 0)
    save_model(project.models_folder / "first", card(), tiny_network().state_dict())
    before = sorted(path for path in project.folder.rglob("*"))
    entry = assists(project)[0]
    assert (entry.name, entry.kind) == ("first", "model")
    request, texts = AssistRequest(entry, PlaneRef(project.folder, "im0.tif")), []
    answer = client.ask(request, texts.append).result(WAIT)
    assert texts[0] == "loading first"
    assert any("tile" in text for text in texts)
    expected = Trained.load(entry.file, torch.device("cpu")).answer(
        request, Planes().get(request.plane), lambda _: None
    )
    assert answer.objects == expected.objects
    assert sorted(path for path in project.folder.rglob("*")) == before


def test_a_sam_in_the_folder_answers_clicks(client, folder) -> None:
    tiny_sam(folder / "tiny-sam")
    entry = next(entry for entry in assists(None) if entry.name == "tiny-sam")
    request = AssistRequest(entry, Pixels(disc()), Prompt(points=(Click(100, 150),)))
    texts: list[str] = []
    (found,) = client.ask(request, texts.append).result(WAIT).objects
    assert texts == ["loading tiny-sam", "embedding the picture, once", "mask"]
    assert 1 <= len(found.rungs) <= 3
    assert client.ask(request, texts.append).result(WAIT).objects == (found,)
    assert texts[3:] == ["mask"]


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raising", r"failed on an input of shape \(1, 2, 64, 64\): .*weights of another world.*Does its card"),
        ("halving", r"answered with shape \(1, 1, 32, 32\) instead of \(1, 1, 64, 64\)"),
        ("swapped", r"answered with shape \(1, 0, 64, 64\).*Does its card"),
        ("broken", r"broken\.pt cannot be read as a TorchScript \(\.pt\) file"),
        ("page", r"page\.pt holds no model but a web page"),
    ],
)
def test_bad_models_are_explained_and_the_helper_goes_on(client, entries, name, said) -> None:
    pid = wait_until(lambda: client.pid)
    prompt = Prompt(extremes=EXTREMES)
    with pytest.raises(MiaError, match=said):
        client.ask(AssistRequest(entries[name], Pixels(disc()), prompt)).result(WAIT)
    assert len(client.ask(AssistRequest(entries["extremes"], Pixels(disc()), prompt)).result(WAIT).objects) == 1
    assert client.pid == pid


def test_a_model_removed_while_it_is_listed(client, folder, entries) -> None:
    card = assist_models.add(folder, "fleeting", assist_models.Bright(), "dextr")
    entry = next(entry for entry in assists(None) if entry.name == "fleeting")
    card.with_suffix(".pt").unlink()
    request = AssistRequest(entry, Pixels(disc()), Prompt(extremes=EXTREMES))
    with pytest.raises(MiaError, match=r"fleeting\.pt is not there"):
        client.ask(request).result(WAIT)
    assist_models.add(folder, "fleeting", assist_models.Bright(), "dextr")
    assert len(client.ask(request).result(WAIT).objects) == 1
    card.unlink()
    with pytest.raises(MiaError, match=r"fleeting\.json cannot be read"):
        client.ask(request).result(WAIT)


@pytest.mark.parametrize(
    ("name", "prompt", "view", "said"),
    [
        ("extremes", Prompt(extremes=EXTREMES[:2]), None, "needs the four extreme points of an object, got 2"),
        ("clicks", Prompt(points=(Click(5, 5, positive=False),)), None, "at least one point inside"),
        ("sobel", Prompt(), (500, 0, 600, 100), "shows nothing of the image of 200 x 300"),
        ("extremes", Prompt(extremes=((1, float("nan")),) * 4), None, "a point that is no number"),
        ("extremes", Prompt(extremes=((900, 900), (910, 910), (900, 905))), None, "shows nothing of the image"),
    ],
)
def test_questions_that_make_no_sense(client, entries, name, prompt, view, said) -> None:
    with pytest.raises(MiaError, match=said):
        client.ask(AssistRequest(entries[name], Pixels(disc()), prompt, view)).result(WAIT)


def test_the_newer_of_two_questions_wins(client, entries) -> None:
    texts: list[str] = []
    large = AssistRequest(entries["slow"], Pixels(np.zeros((1, 2000, 2000), np.uint8)))  # 63 x 63 tiles: minutes
    older = client.ask(large, texts.append)
    wait_until(lambda: any("edges 1 of 3969" in text for text in texts))
    newer = client.ask(AssistRequest(entries["slow"], Pixels(disc()), view=(0, 0, 20, 20)))
    assert older.cancelled()
    assert newer.result(20).edges.values.shape == (20, 20)


def test_a_question_given_up_makes_way_for_another_assist(client, entries) -> None:
    texts: list[str] = []
    future = client.ask(AssistRequest(entries["slow"], Pixels(np.zeros((1, 2000, 2000), np.uint8))), texts.append)
    wait_until(lambda: any("edges" in text for text in texts))
    assert future.cancel()
    quick = AssistRequest(entries["extremes"], Pixels(disc()), Prompt(extremes=EXTREMES))
    assert len(client.ask(quick).result(20).objects) == 1


# ---- life and death --------------------------------------------------------------------------------------------------


def test_after_a_kill_and_after_a_hang_the_next_question_is_answered(folder, entries) -> None:
    client = AssistClient(device="cpu", silence_s=3.0)
    try:
        prompt, texts = Prompt(extremes=EXTREMES), []
        endless = AssistRequest(entries["endless"], Pixels(disc()), prompt)
        future = client.ask(endless, texts.append)
        wait_until(lambda: texts == ["loading endless.json"])
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(MiaError, match=r"endless gives no answer: the helper process was killed \(SIGKILL\)"):
            future.result(WAIT)
        with pytest.raises(MiaError, match="endless gives no answer: the helper process said nothing for 3 s"):
            client.ask(endless).result(WAIT)
        assert client.state.startswith("dead: said nothing")
        assert len(client.ask(AssistRequest(entries["extremes"], Pixels(disc()), prompt)).result(WAIT).objects) == 1
    finally:
        client.close()


def test_an_idle_helper_leaves_and_is_not_missed(folder, entries) -> None:
    client = AssistClient(device="cpu", idle_s=0.3)
    try:
        client.start()
        pid = wait_until(lambda: client.pid)
        wait_until(lambda: client.state == "off")
        assert not Path(f"/proc/{pid}").exists()
    finally:
        client.close()


def talk(folder: Path, key: bytes, say):
    """Start a helper by hand, wait for its socket, let `say` talk to it; (exit code, what it printed)."""
    address = str(folder / "s")
    process = subprocess.Popen(
        [*HELPER, "--device", "cpu", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    process.stdin.write(key.hex().encode() + b"\n")
    process.stdin.flush()
    try:
        wait_until(lambda: Path(address).exists() or process.poll() is not None)
        say(address)
        return process.wait(20), process.stdout.read().decode()
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_strangers_and_garbage_are_borne(folder, entries, tmp_path) -> None:
    """Noise before the handshake, a wrong key, then nonsense from the right peer: the real question is answered."""
    key, private = b"k" * 32, tmp_path / "private"
    private.mkdir(mode=0o700)

    def say(address: str) -> None:
        for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096):
            with socket.socket(socket.AF_UNIX) as stranger:
                wait_until(lambda: stranger.connect_ex(address) == 0)  # made, but perhaps not listening yet
                stranger.sendall(noise)
        with pytest.raises((AuthenticationError, OSError, EOFError)):
            Client(address, family="AF_UNIX", authkey=b"wrong")
        with Client(address, family="AF_UNIX", authkey=key) as connection:
            assert unpack(connection.recv_bytes())[0]["type"] == "hello"
            wait_until(lambda: not private.exists())  # nothing is left to clean up, however it ends
            garbage = [b"", b"x", b"\xff\xff\xff\xff{}", pack(({"type": "ask"}, [])), pack(({"type": "jump"}, []))]
            garbage += [b"\x80\x04\x95\x05cos\nsystem\n", pack(({"type": "ask", "id": 7}, [np.zeros(3)]))]
            for data in garbage:
                connection.send_bytes(data)
            request = AssistRequest(entries["extremes"], Pixels(disc()), Prompt(extremes=EXTREMES))
            connection.send_bytes(pack(request_message(request, 8)))
            heard = []
            while not heard or heard[-1][0]["type"] != "answer":
                assert connection.poll(WAIT)
                heard.append(unpack(connection.recv_bytes()))
            assert sum(message[0]["type"] == "error" for message in heard) == len(garbage)
            assert len(read_answer(heard[-1]).objects) == 1

    code, printed = talk(private, key, say)
    assert code == 0
    assert printed.count("a peer was turned away") == 4
    assert "Traceback" not in printed


def test_the_process_that_asks_never_imports_torch(folder) -> None:
    program = (
        "import json, sys; import numpy as np; from mia_tui.jobs.assist import AssistClient, assists\n"
        "from mia_tui.engine.assist.messages import AssistRequest, Pixels, Prompt\n"
        "entry = next(e for e in assists(None) if e.name == 'extremes')\n"
        "client = AssistClient(device='cpu')\n"
        "picture = np.zeros((1, 90, 90), np.uint8); picture[0, 30:60, 30:60] = 200\n"
        "prompt = Prompt(extremes=((30, 45), (60, 45), (45, 30), (45, 60)))\n"
        "found = client.ask(AssistRequest(entry, Pixels(picture), prompt)).result(60).objects\n"
        "client.close()\n"
        "print(json.dumps({'area': found[0].outline.area, 'modules': sorted(sys.modules)}))"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["area"] == pytest.approx(900, rel=0.05)
    heavy = {"torch", "torchvision", "timm", "transformers", "segmentation_models_pytorch", "textual"}
    assert heavy & set(found["modules"]) == set()


def test_the_log_is_kept_for_people(client) -> None:
    wait_until(lambda: client.state == "ready")
    assert log_path().exists()
    assert os.fspath(log_path()).startswith(os.environ["MIA_TUI_STATE"])
    assert threading.active_count() < 20
