"""One run, one process: a second one in the same directory is refused before it has changed anything."""

import os
import threading

import pytest

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.population import train_population


def test_a_second_run_in_a_directory_is_refused_and_the_first_ends_whole(tiny_config, tmp_path, one_device, rows):
    refusals = []

    def refused(train):
        with pytest.raises(InputError) as found:
            train()
        refusals.append(str(found.value))

    def alone():
        jaxcnn.train(tiny_config(), tmp_path, quiet=True, devices=one_device)

    def as_members():
        train_population([tiny_config()] * 2, [tmp_path, tmp_path / "b"], tmp_path / "all", devices=one_device)

    def start_others(step, _):
        for train in (alone, as_members):
            thread = threading.Thread(target=refused, args=(train,))
            thread.start()
            thread.join()

    result = jaxcnn.train(tiny_config(), tmp_path, quiet=True, devices=one_device, on_evaluation=start_others)
    assert len(refusals) == 4
    assert all(f"another run is at work in {tmp_path} (process {os.getpid()} on" in text for text in refusals)
    assert [row["step"] for row in rows(tmp_path) if row["split"] == "validation"] == [10, 20]
    assert result.test["n"] and not (tmp_path / "all" / "checkpoints").exists()
    alone()  # it is free again
