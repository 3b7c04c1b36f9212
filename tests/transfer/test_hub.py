"""Networks of the Hugging Face hub by name, from a server on the loopback that speaks its protocol."""

import json
import os
import pathlib
import subprocess
import sys

import huggingface_hub
import huggingface_hub.constants
import jax
import numpy as np
import pytest
from safetensors.numpy import save
from transfer.hub_server import serve

from jaxcnn import InputError, Trained, cli
from jaxcnn.architectures import ARCHITECTURES, create
from jaxcnn.training.config import load_config
from jaxcnn.training.state import abstract_variables
from jaxcnn.transfer import convert
from jaxcnn.transfer.mapping import to_tensors
from jaxcnn.transfer.public_weights import PUBLIC, markdown
from jaxcnn.transfer.sources import SOURCES, find_layout, our_name

PREPARED = {  # as timm writes it
    "tag": "a1_in1k", "custom_load": False, "input_size": [3, 24, 24], "test_input_size": [3, 32, 32],
    "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0,
    "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 1000,
}  # fmt: skip
SMALL = {"architecture": "resnet20", "num_classes": 10, "pretrained_cfg": PREPARED}


def weights(source, architecture, **options):
    """(tensors, safetensors) of a network at random under the names of a source."""
    rng = np.random.default_rng(0)
    ours, own = our_name(source, architecture)
    layout, entries, options = find_layout(source, ours, {**own, **options})
    like = abstract_variables(create(ours, **options), (*layout.preprocessing.image_size, 3))
    drawn = jax.tree.map(lambda x: 0.1 * rng.random(size=x.shape, dtype=np.float32), like)
    tensors = to_tensors(entries, drawn)
    return tensors, save(tensors)


@pytest.fixture(scope="module")
def small():
    """(tensors, safetensors) of a ResNet-20: 1 MB."""
    return weights("torchvision", "resnet20")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, and an empty cache."""
    with serve() as found:
        settings = huggingface_hub.constants
        monkeypatch.setattr(settings, "ENDPOINT", found.address)
        template = found.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(settings, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(settings, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(settings, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between two attempts
        yield found


def put(hub, small, config=SMALL, name="owner/small", **files):
    described = {} if config is None else {"config__json": json.dumps(config).encode()}
    return hub.put(name, **described, model__safetensors=small[1], pytorch_model__bin=b"\x80pickle", **files)


def test_a_repository_says_how_it_is_used(hub, small, tmp_path, capsys):
    names = (*"abcdefghi", "j\x1b[2J")  # which would clear a terminal
    commit = put(hub, small, {**SMALL, "label_names": names})
    where = tmp_path / "run"
    assert cli.main(["convert", "--from", "torchvision", "hf-hub:owner/small", "--workdir", str(where)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"resnet20: 269,722 parameters in {where}",
        "images: short side to 25, bicubic, then 24x24 from the centre; mean 0.485 0.456 0.406, "
        "deviation 0.229 0.224 0.225",
        r"classes: 10, a ... j\x1b[2J",
    ]
    network = Trained(where)
    assert network.classes == names and network.shape == (24, 24, 3)
    np.testing.assert_array_equal(network.variables["params"]["fc"]["kernel"], small[0]["linear.weight"].T)
    record = json.loads((where / "preprocessing.json").read_text())
    assert (record["file"], record["commit"], record["resize"]) == ("hf-hub:owner/small", commit, 25)
    assert {path.rpartition("/")[2] for _, path, _ in hub.asked if "resolve" in path} == {
        "config.json", "model.safetensors",
    }  # fmt: skip


def test_what_is_given_comes_before_what_the_repository_says(hub, small, tmp_path):
    put(hub, small, {**SMALL, "id2label": {str(i): f"LABEL_{i}" for i in range(10)}})
    names = [f"class {i}" for i in range(10)]
    options = {"classes": names, "image_size": (32, 32), "resize": None, "interpolation": "bilinear"}
    with pytest.raises(InputError, match="resize is 25"):
        convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run", **options)
    convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run", **{**options, "resize": 40})
    network = Trained(tmp_path / "run")
    assert network.classes == tuple(names)
    assert (network.config.data.resize, network.config.data.interpolation) == (40, "bilinear")
    convert("torchvision", "", "hf-hub:owner/small", tmp_path / "named")
    assert Trained(tmp_path / "named").classes[9] == "LABEL_9"


def test_a_download_that_breaks_off_is_resumed_where_it_broke(hub, small, tmp_path, monkeypatch):
    put(hub, small)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 2**16)
    hub.drops = [300_000]
    assert convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run") == 269_722
    parts = [ranges for method, path, ranges in hub.asked if method == "GET" and path.startswith("/blobs/")]
    assert parts == [None, f"bytes={300_000 // 2**16 * 2**16}-"]
    (kept,) = (tmp_path / "cache").glob("**/snapshots/*/model.safetensors")
    assert kept.read_bytes() == small[1]


def test_a_revision_is_kept_and_found_without_a_network(hub, small, tmp_path, monkeypatch):
    first = put(hub, small)
    convert("torchvision", "", "hf-hub:owner/small", tmp_path / "first")
    put(hub, small, {**SMALL, "label_names": list("abcdefghij")})
    asked = len(hub.asked)
    convert("torchvision", "", f"hf-hub:owner/small@{first}", tmp_path / "again")
    assert len(hub.asked) == asked  # a commit that is in the cache needs no hub
    assert json.loads((tmp_path / "again" / "preprocessing.json").read_text())["commit"] == first
    for number, (key, value) in enumerate((("HF_HUB_OFFLINE", True), ("ENDPOINT", "http://127.0.0.1:1"))):
        monkeypatch.setattr(huggingface_hub.constants, key, value)
        if key == "ENDPOINT":
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
            template = value + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        convert("torchvision", "", "hf-hub:owner/small", tmp_path / f"offline{number}")
        assert Trained(tmp_path / f"offline{number}").classes == tuple(map(str, range(10)))
        with pytest.raises(InputError, match=r"^hf-hub:owner/other: config\.json is not in the cache of hugg"):
            convert("torchvision", "", "hf-hub:owner/other", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_both_files_are_of_one_commit_where_the_branch_moves_in_between(hub, small, tmp_path):
    first = put(hub, small)
    other = save({name: array + 1 for name, array in small[0].items()})
    hub.then = lambda: hub.put("owner/small", config__json=b"{}", model__safetensors=other)
    convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "preprocessing.json").read_text())["commit"] == first
    kernel = Trained(tmp_path / "run").variables["params"]["fc"]["kernel"]
    np.testing.assert_array_equal(kernel, small[0]["linear.weight"].T)


def test_a_repository_without_a_config_needs_the_architecture(hub, small, tmp_path, monkeypatch):
    put(hub, small, None)
    with pytest.raises(InputError, match=r"hf-hub:owner/small does not say which architecture"):
        convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    convert("torchvision", "resnet20", "hf-hub:owner/small", tmp_path / "run")
    assert Trained(tmp_path / "run").shape == (32, 32, 3)


def test_what_cannot_be_fetched_or_used_is_said_in_one_paragraph(hub, small, tmp_path, monkeypatch):
    put(hub, small)
    hub.put("owner/pickled", config__json=json.dumps(SMALL).encode(), pytorch_model__bin=b"\x80pickle")
    put(hub, small, name="owner/closed")
    hub.gated.add("owner/closed")
    put(hub, small, {**SMALL, "architecture": "convnext_tiny"}, "owner/other")
    put(hub, small, {**SMALL, "architecture": "resnet56"}, "owner/wrong")
    put(hub, small, {**SMALL, "model_args": {"act_layer": "gelu"}}, "owner/changed")
    put(hub, small, {**SMALL, "pretrained_cfg": {**PREPARED, "crop_mode": "squash"}}, "owner/squashed")
    put(hub, small, {**SMALL, "pretrained_cfg": {**PREPARED, "interpolation": "lanczos"}}, "owner/lanczos")
    put(hub, small, {**SMALL, "pretrained_cfg": {**PREPARED, "crop_pct": "half"}}, "owner/damaged")
    put(hub, small, {**SMALL, "pretrained_cfg": {**PREPARED, "std": [0, 0, 0]}}, "owner/zero")
    put(hub, small, {**SMALL, "num_classes": 1000}, "owner/thousand")
    hub.put("owner/cut", config__json=b"{", model__safetensors=small[1])
    for address, message in (
        ("owner/small@v2", r"^hf-hub:owner/small@v2: the repository has no such revision"),
        ("owner/none", rf"^hf-hub:owner/none is no repository of {hub.address}, or a private one\."),
        ("owner/closed", rf"^hf-hub:owner/closed is gated: .* Accept them at {hub.address}/owner/closed, log in"),
        ("owner/pickled", r"^hf-hub:owner/pickled has no model\.safetensors, and nothing else is fetched: a pickle"),
        ("owner/other", r"^hf-hub:owner/other: torchvision has no layout for 'convnext_tiny'"),
        ("owner/wrong", r"^hf-hub:owner/wrong as resnet56 does not fit\. Only in the mapping, not in the file: layer1"),
        ("owner/changed", r"^config\.json of hf-hub:owner/changed has model_args = \{'act_layer': 'gelu'\}"),
        ("owner/squashed", r"^config\.json of hf-hub:owner/squashed cuts a 24x24 image out by crop_mode 'squash'"),
        ("owner/lanczos", r"interpolation is 'lanczos'; it must be one of 'bilinear', 'bicubic'"),
        ("owner/damaged", r"^config\.json of hf-hub:owner/damaged is damaged: could not convert string to float"),
        ("owner/zero", r"std"),
        ("owner/thousand", r"^hf-hub:owner/thousand has 10 classes, but 1000 are named by its config\.json\.$"),
        ("owner/cut", r"config\.json is damaged: line 1, column 2"),
        ("justone", r"^hf-hub:justone is no address of the hub: it is hf-hub:OWNER/NAME"),
        ("owner/..x", r"^hf-hub:owner/\.\.x"),
    ):
        with pytest.raises(InputError, match=message) as error:
            convert("torchvision", "", f"hf-hub:{address}", tmp_path / "run")
        assert "\n" not in str(error.value) and not (tmp_path / "run").exists()
    asked = len(hub.asked)
    with pytest.raises(InputError, match="unknown source of weights 'tim'"):
        convert("tim", "", "hf-hub:owner/small", tmp_path / "run")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"is not installed: pip install huggingface_hub; .* JAXCNN_EXTRAS=hub"):
        convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run")
    assert len(hub.asked) == asked


def test_a_full_disk_and_a_hub_that_breaks_down_are_named(hub, small, tmp_path, monkeypatch):
    put(hub, small)

    def full(*arguments, **options):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", full)
        with pytest.raises(InputError, match=r"config\.json does not fit on the disk of the cache\. .*HF_HOME"):
            convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run")
    hub.drops = [0] * 9
    with pytest.raises(
        InputError, match=r"^hf-hub:owner/small: model\.safetensors could not be downloaded: peer closed"
    ):
        convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run")
    hub.down = True
    with pytest.raises(
        InputError, match=r"^hf-hub:owner/small: model\.safetensors is not in the cache .* cannot be reached"
    ):
        convert("torchvision", "", "hf-hub:owner/small", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_of_timm_has_imagenets_classes(hub, tmp_path):
    tensors, data = weights("timm", "resnet18")
    config = {"architecture": "resnet18", "num_classes": 1000, "num_features": 512, "pretrained_cfg": PREPARED}
    hub.put("timm/resnet18.a1_in1k", config__json=json.dumps(config).encode(), model__safetensors=data)
    assert convert("timm", "", "hf-hub:timm/resnet18.a1_in1k", tmp_path / "run") == 11_689_512
    network = Trained(tmp_path / "run")
    assert [network.classes[i] for i in (0, 134, 207, 517, 999)] == [
        "tench", "crane (n02012849)", "golden retriever", "crane (n03126707)", "toilet tissue",
    ]  # fmt: skip
    assert len(set(network.classes)) == 1000
    np.testing.assert_array_equal(network.variables["params"]["fc"]["bias"], tensors["fc.bias"])


def test_fine_tuning_says_where_its_network_comes_from(tmp_path, capsys):
    config = pathlib.Path(__file__).parents[2] / "configs" / "finetune_folder.py"
    command = ["train", f"--config={config}", f"--config.data.name=folder:{tmp_path}", f"--workdir={tmp_path / 'run'}"]
    assert cli.main([*command, f"--config.finetune.source={tmp_path / 'imagenet'}"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{tmp_path / 'imagenet'} is not a run directory" in said
    assert f"`jaxcnn convert --from timm hf-hub:timm/resnet18.a1_in1k --workdir {tmp_path / 'imagenet'}`" in said
    assert "from scratch: --config=configs/folder.py" in said
    assert load_config([f"--config={config}"]).finetune.source == "runs/imagenet"


def test_the_environment_names_the_hub_and_the_cache(small, tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "jaxcnn", "convert", "--from", "torchvision", "hf-hub:owner/small", "--workdir"]
    with serve() as hub:
        put(hub, small)
        environment |= {"HF_ENDPOINT": hub.address}
        done = subprocess.run([*command, str(tmp_path / "run")], env=environment, capture_output=True, text=True)
    assert (done.returncode, "269,722 parameters" in done.stdout) == (0, True), done.stderr
    assert len([*(tmp_path / "home" / "hub" / "models--owner--small" / "snapshots").glob("*/*")]) == 2


@pytest.mark.parametrize("row", PUBLIC, ids=[row.name for row in PUBLIC])
def test_the_table_of_public_weights_is_of_networks_that_convert(row):
    ours, options = our_name("timm", row.architecture)
    layout, _, _ = find_layout("timm", ours, options)
    assert ours in ARCHITECTURES and layout.preprocessing.image_size in ((224, 224), (299, 299))


def test_the_table_stands_in_the_documentation():
    assert markdown(our_name) in (pathlib.Path(__file__).parents[2] / "docs" / "weights.md").read_text()


def test_a_file_without_auxiliary_heads_is_of_a_network_without_them(tmp_path):
    for source, name, tensor in (
        ("torchvision", "googlenet_bn", "aux1.fc1.weight"),
        ("torchvision", "inception_v3", "AuxLogits.fc.weight"),
        ("timm", "inception_v3", "AuxLogits.fc.weight"),
    ):
        layout = SOURCES[source][name]
        assert layout.options_of({}) == {"auxiliary": False} and layout.options_of({tensor: 0}) == {"auxiliary": True}
        _, entries, _ = find_layout(source, name, {"auxiliary": True})
        assert tensor in {entry.name for entry in entries}
