"""The search for settings, with real runs of a stand-in whose score is a known function of the learning rate."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import stand_in_trial

from mia_tui.engine.config import TrainConfig, make_config
from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.search_space import Choice, Plan, Range, default_space, make_plan
from mia_tui.jobs.study import study_folder, summary
from mia_tui.jobs.tune import tune
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder, list_runs

ROOT = Path(__file__).parents[2]
TRIAL = Path(__file__).with_name("stand_in_trial.py")
FIXED = [
    "encoder=resnet18", "augmentation_strength=0", "loss=cross_entropy", f"epochs={stand_in_trial.EPOCHS}",
    "device=cpu",
]  # fmt: skip
PERIOD_S = 0.02


def worker(mode):
    return (sys.executable, str(TRIAL), mode)


def plan(seed=0):
    return make_plan("segmentation", FIXED, ["learning_rate=1e-5:1e-1"], seed=seed)


def search(jobs, mode="finish", name="s", **options):
    return tune(jobs.project, name, options.pop("plan", plan()), worker=worker(mode), period_s=PERIOD_S, **options)


def rate(row):
    return row["settings"]["learning_rate"]


# ---- what may be searched -------------------------------------------------------------------------------------------


def test_the_default_space_is_possible_and_a_fixed_setting_leaves_it():
    made = make_plan("segmentation")
    assert made.space == default_space("segmentation", plain=True)
    assert made.space["learning_rate"] == Range(1e-4, 1e-2, log=True)
    for part in made.space.values():
        assert len(part.probes()) >= 2
    assert "loss" not in make_plan("detection").space
    less = make_plan("segmentation", ["encoder=resnet34", "epochs=7"], seed=5)
    assert set(made.space) - set(less.space) == {"encoder"}
    config = less.config({"learning_rate": 1e-3})
    assert (config.encoder, config.epochs, config.seed, config.learning_rate) == ("resnet34", 7, 5, 1e-3)


@pytest.mark.parametrize(
    ("task", "settings", "search"),
    [
        ("classification", [], []), ("segmentation", ["architecture=FPN"], []),
        ("detection", ["encoder_weights=imagenet"], []), ("segmentation", [], ["encoder_weights=none,imagenet"]),
        ("segmentation", [], ["architecture=Unet,FPN"]),
    ],
)  # fmt: skip
def test_the_plain_network_is_tried_where_it_can_be_only(task, settings, search):
    assert "plain" in make_plan("detection").space["encoder"].values
    assert "plain" not in make_plan(task, settings, search).space["encoder"].values


def test_search_takes_ranges_and_choices_of_any_setting():
    asked = ["learning_rate=1e-3:5e-3", "batch_size=2:64", "patch_size=64,128", "encoder_weights=none,imagenet"]
    space = make_plan("segmentation", [], [*asked, "touching=border,off"]).space
    assert space["learning_rate"] == Range(1e-3, 5e-3)
    assert space["batch_size"] == Range(2, 64, log=True, integer=True)
    assert space["patch_size"] == Choice((64, 128))
    assert space["encoder_weights"] == Choice((None, "imagenet"))
    assert space["touching"] == Choice(("border", "off"))
    stored = json.loads(json.dumps(Plan({"epochs": 3}, space, 7).as_dict()))
    assert Plan.from_dict(stored) == Plan({"epochs": 3}, space, 7)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("learning_rat=1:2", r"unknown setting.*learning_rate"),
        ("learning_rate=1e-4:50", r"learning_rate=50.0 cannot be \(learning_rate: numbers, > 0.*<= 10"),
        ("learning_rate=0:0.1", "learning_rate=0.0 cannot be"),
        ("learning_rate=0.1:0.01", "first number must be the smaller"),
        ("learning_rate=nan:0.01", "first number must be the smaller"),
        ("learning_rate=a:b", "write low:high with two numbers"),
        ("learning_rate", "write key=low:high"),
        ("batch_size=2:9.5", "two whole numbers"),
        ("patch_size=64:256", r"patch_size=65 cannot be.*key=a,b,c.*multiple of 32"),
        ("patch_size=64,65", "'65' cannot be.*multiple of 32"),
        ("touching=border,edge", "'edge' cannot be.*one of border, distance, flow, off"),
        ("encoder=resnet18", "two choices or more.*--set encoder=resnet18"),
        ("seed=1,2", "same for all trials"),
        ("validation=0.1:0.5", "same for all trials"),
        ("channels=0,1", "is a list"),
        ("epochs=5:10", "epochs is fixed to 3"),
    ],
)
def test_impossible_searches_are_refused_with_the_reason(pair, message):
    with pytest.raises(MiaError, match=f"(?s){message}"):
        make_plan("segmentation", ["epochs=3"], [pair])


@pytest.mark.parametrize(
    ("settings", "searched", "message"),
    [
        (["validation=0"], [], "validation=0.*validation images"),
        (["epohcs=3"], [], "epohcs: unknown setting"),
        (["epochs"], [], "write key=value"),
        ([], ["folds=0,2", "fold=1,5"], "would try.*fold 1 to folds"),
        (["learning_rate=1e-3", *FIXED], [], "nothing is left to search"),
    ],
)
def test_impossible_plans_are_refused_before_anything_starts(settings, searched, message):
    with pytest.raises(MiaError, match=f"(?s){message}"):
        make_plan("segmentation", settings, searched)


def test_the_wall_time_of_a_trial_is_given_once():
    assert make_plan("segmentation", trial_minutes=2.5).config({}).max_minutes == 2.5
    with pytest.raises(MiaError, match="trial-minutes"):
        make_plan("segmentation", ["max_minutes=3"], trial_minutes=2)
    with pytest.raises(MiaError, match="max_minutes"):
        make_plan("segmentation", trial_minutes=-1)


# ---- searching ------------------------------------------------------------------------------------------------------


def test_the_best_trial_is_the_best_of_those_tried_and_bad_ones_are_stopped_early(jobs):
    found = search(jobs, "prune", trials=8)
    assert (found["reason"], found["ok"], found["running"]) == ("done", True, False)
    rows = found["trials"]
    assert [row["trial"] for row in rows] == list(range(1, 9))
    assert len({rate(row) for row in rows}) == 8
    for row in rows:
        assert row["value"] == pytest.approx(stand_in_trial.score(rate(row)))
        run = RunFolder(jobs.project.runs_folder / row["run"])
        assert run.config()["train"]["learning_rate"] == rate(row)
        assert run.config()["train"]["seed"] == 0
        epochs = [event["epoch"] for event in run.events()[0] if event["event"] == "epoch"]
        if row["state"] == "pruned":
            assert run.status().state == "stopped"
            assert len(epochs) == row["epochs"] <= stand_in_trial.MIDDLE
        else:
            assert (row["state"], run.status().state) == ("finished", "finished")
            assert len(epochs) == row["epochs"] == stand_in_trial.EPOCHS
    assert {row["state"] for row in rows} == {"pruned", "finished"}
    assert all(row["state"] == "finished" for row in rows[:4])

    best = max(rows, key=lambda row: stand_in_trial.score(rate(row)))
    assert (found["best"]["trial"], found["best"]["run"]) == (best["trial"], best["run"])
    assert jobs.project.models() == [best["run"]] == [found["best"]["model"]]
    assert sorted(run.id for run in list_runs(jobs.project.runs_folder)) == [f"s-t{n:03d}" for n in range(1, 9)]
    written = tomllib.loads(Path(found["best"]["config"]).read_text())
    wanted = RunFolder(jobs.project.runs_folder / best["run"]).config()["train"]
    assert make_config(written) == TrainConfig(**wanted)


def test_models_are_kept_when_asked_and_the_best_is_what_the_training_maximises(jobs):
    found = search(jobs, trials=2, keep=True)
    assert len(jobs.project.models()) == 2
    assert found["best"]["value"] == pytest.approx(max(stand_in_trial.score(rate(row)) for row in found["trials"]))


def test_a_search_in_two_parts_tries_what_one_in_a_piece_tries(jobs, proposed):
    first = search(jobs, trials=2)
    again = search(jobs, trials=2)
    assert again["trials"] == first["trials"]  # enough already: nothing was started
    both = search(jobs, trials=3, plan=None)
    assert both["trials"][:2] == first["trials"]
    assert [rate(row) for row in both["trials"]] == proposed[:3]
    assert summary(jobs.project, "s")["trials"] == both["trials"]
    other = search(jobs, name="other", trials=1, plan=plan(seed=1))
    assert rate(other["trials"][0]) != proposed[0]


def test_another_plan_another_process_and_taken_names_are_refused(jobs):
    search(jobs, trials=1)
    with pytest.raises(MiaError, match=r"seed 0, not 1.*choose another --name"):
        search(jobs, plan=plan(seed=1))
    with pytest.raises(MiaError, match="cannot name a search"):
        search(jobs, name="../s")
    with pytest.raises(MiaError, match=r"no search 'x'; there are: s"):
        summary(jobs.project, "x")
    control.start(jobs.project, {"kind": "train", "train": {}}, "n-t001", worker=jobs.worker("finish"))
    with pytest.raises(MiaError, match="n-t001 is left of an earlier search"):
        search(jobs, name="n")


def test_without_optuna_the_way_to_get_it_is_said(jobs, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MiaError, match=r"pip install 'mia-tui\[tune\]'"):
        search(jobs)
    assert list_runs(jobs.project.runs_folder) == []


def test_a_damaged_journal_is_said(jobs):
    search(jobs, trials=1)
    journal = study_folder(jobs.project, "s") / "journal.log"
    journal.write_bytes(b"not a journal\n" * 2 + journal.read_bytes())
    for action in (search, lambda jobs: summary(jobs.project, "s")):
        with pytest.raises(MiaError, match=r"journal\.log cannot be read"):
            action(jobs)


def test_three_failures_in_a_row_end_the_search_with_the_reason(jobs):
    found = search(jobs, "fail", trials=5)
    assert (found["ok"], found["best"]) == (False, None)
    assert "3 trials in a row failed" in found["reason"]
    assert "class 'cell' has no objects" in found["reason"]
    assert [row["state"] for row in found["trials"]] == ["failed"] * 3
    mended = search(jobs, "finish", trials=1)
    assert [row["state"] for row in mended["trials"]] == ["failed"] * 3 + ["finished"]


def test_without_a_validation_image_the_search_ends_at_once(jobs):
    with pytest.raises(MiaError, match="no validation image"):
        search(jobs, "blind", trials=5)
    assert [row["state"] for row in summary(jobs.project, "s")["trials"]] == ["failed"]
    assert RunFolder(jobs.project.runs_folder / "s-t001").status().state == "stopped"


# ---- interrupted ----------------------------------------------------------------------------------------------------

SEARCHER = """
import sys
from pathlib import Path
from mia_tui.jobs.tune import tune
from mia_tui.jobs.search_space import make_plan
from mia_tui.project import Project
folder, trial, *fixed = sys.argv[1:]
plan = make_plan("segmentation", fixed, ["learning_rate=1e-5:1e-1"])
found = tune(Project.load(Path(folder)), "s", plan, trials=4, worker=(sys.executable, trial, "wait"), period_s=0.02)
print(found["reason"])
"""


@pytest.fixture(scope="module")
def proposed(tmp_path_factory):
    """The learning rates that a search without an interruption tries."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "images").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIA_TUI_STATE", str(folder / "state"))
        project = Project.create(folder / "project", images=folder / "images")
        found = tune(project, "whole", plan(), trials=5, worker=worker("finish"), period_s=PERIOD_S)
    return [rate(row) for row in found["trials"]]


@pytest.fixture
def left(jobs):
    """A search in a process of its own, in the middle of its third trial: (process, run of the third trial)."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", SEARCHER, str(jobs.project.folder), str(TRIAL), *FIXED],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    third = RunFolder(jobs.project.runs_folder / "s-t003")

    def in_the_middle():
        assert process.poll() is None
        return (third.path / "status.json").exists() and third.status().epoch == stand_in_trial.MIDDLE

    jobs.wait_until(in_the_middle)
    jobs.wait_until(lambda: summary(jobs.project, "s")["trials"][2]["epochs"] == stand_in_trial.MIDDLE)
    yield process, third
    process.kill()
    process.communicate()


class AtTheMiddle:
    """A watcher that acts when a trial has come to its middle."""

    def __init__(self, trial, action):
        self.wanted, self.action = trial, action

    def begin(self, trial, run):
        self.trial = trial["trial"]

    def event(self, event):
        if self.trial == self.wanted and event.get("epoch") == stand_in_trial.MIDDLE:
            self.action()

    def status(self, status):
        pass

    def end(self, trial):
        pass


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def check_whole(jobs, found, starts, proposed):
    """Every trial has one run and was proposed as if nothing had happened; how often each run was started."""
    assert [rate(row) for row in found["trials"]] == proposed[: len(found["trials"])]
    runs = sorted(run.id for run in list_runs(jobs.project.runs_folder) if run.id.startswith("s-"))
    assert runs == [row["run"] for row in found["trials"]]
    assert [len(jobs.starts(RunFolder(jobs.project.runs_folder / run))) for run in runs] == starts
    assert found["best"]["value"] == max(row["value"] for row in found["trials"] if row["state"] == "finished")


def test_after_a_kill_a_run_that_lives_is_followed_to_its_end(jobs, left, proposed):
    process, third = left
    with pytest.raises(MiaError, match="worked on by another process"):
        search(jobs, "wait", trials=4)
    assert summary(jobs.project, "s")["running"]
    kill(process)
    assert summary(jobs.project, "s")["trials"][2]["state"] == "running"
    found = search(jobs, "wait", trials=4, watcher=AtTheMiddle(3, lambda: jobs.go(third)))
    assert [row["state"] for row in found["trials"]] == ["finished"] * 4
    assert found["trials"][2]["epochs"] == stand_in_trial.EPOCHS
    check_whole(jobs, found, [1] * 4, proposed)


def test_after_a_kill_a_run_that_has_finished_meanwhile_counts_and_leftovers_of_the_kill_do_no_harm(
    jobs, left, proposed
):
    process, third = left
    kill(process)
    jobs.go(third)
    jobs.wait_until(lambda: current_status(third).state == "finished")
    journal = study_folder(jobs.project, "s") / "journal.log"
    with open(journal, "ab") as stream:
        stream.write(b'{"op_code":4,"wor')  # a line cut short
    lock = journal.with_name("journal.log.lock")
    if not lock.is_symlink():  # the kill itself leaves it now and then
        lock.symlink_to(journal)
    found = search(jobs, "wait", trials=4, plan=None)
    assert [row["state"] for row in found["trials"]] == ["finished"] * 4
    assert found["trials"][2]["value"] == pytest.approx(stand_in_trial.score(rate(found["trials"][2])))
    check_whole(jobs, found, [1] * 4, proposed)


def test_after_a_kill_of_everything_the_run_is_resumed_from_its_checkpoint(jobs, left, proposed):
    process, third = left
    kill(process)
    jobs.kill_supervisor(third)
    jobs.kill_worker(third)
    jobs.go(third)
    found = search(jobs, "wait", trials=4)
    assert [row["state"] for row in found["trials"]] == ["finished"] * 4
    check_whole(jobs, found, [1, 1, 2, 1], proposed)


def test_a_lost_run_without_a_checkpoint_has_failed_and_is_made_up_for(jobs, left, proposed):
    process, third = left
    kill(process)
    jobs.kill_supervisor(third)
    jobs.kill_worker(third)
    third.last_checkpoint.unlink()
    found = search(jobs, "wait", trials=4)
    assert [row["state"] for row in found["trials"]] == ["finished", "finished", "failed", "finished", "finished"]
    check_whole(jobs, found, [1] * 5, proposed)


def test_ctrl_c_stops_the_trial_with_its_checkpoint_and_the_search_goes_on_later(jobs, left, proposed):
    process, third = left
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.split() == ["interrupted"]
    assert third.status().state == "stopped"
    shown = summary(jobs.project, "s")
    assert [row["state"] for row in shown["trials"]] == ["finished", "finished", "stopped"]
    assert jobs.project.models() == [shown["best"]["run"]]
    jobs.go(third)
    found = search(jobs, "wait", trials=4)
    check_whole(jobs, found, [1, 1, 2, 1], proposed)


def test_a_trial_stopped_by_somebody_counts_as_ended_early(jobs, left):
    process, third = left
    control.stop(third, wait_s=20)
    jobs.wait_until(lambda: summary(jobs.project, "s")["trials"][2]["state"] == "pruned")
    said, _ = process.communicate(timeout=120)
    assert said.split() == ["done"]
    row = summary(jobs.project, "s")["trials"][2]
    assert row["message"] == "its run was stopped from outside"


class Clock:
    """Time that can be moved on."""

    ahead = 0.0
    sleep = staticmethod(time.sleep)

    def monotonic(self):
        return time.monotonic() + self.ahead


def test_when_the_minutes_are_over_the_trial_is_stopped_to_go_on_later(jobs, monkeypatch, proposed):
    clock = Clock()
    monkeypatch.setattr("mia_tui.jobs.tune.time", clock)
    over = AtTheMiddle(3, lambda: setattr(clock, "ahead", 601))
    found = search(jobs, "wait", trials=4, minutes=10, watcher=over)
    assert (found["reason"], found["ok"]) == ("out of time", True)
    assert [row["state"] for row in found["trials"]] == ["finished", "finished", "stopped"]
    third = RunFolder(jobs.project.runs_folder / "s-t003")
    jobs.go(third)
    check_whole(jobs, search(jobs, "wait", trials=4, minutes=10), [1, 1, 2, 1], proposed)
