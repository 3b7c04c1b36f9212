import sys

import flax.linen as nn
import pytest

from jaxcnn import InputError
from jaxcnn.architectures import create
from jaxcnn.architectures.lenet import LeNet5Common


class Own(nn.Module):
    num_classes: int = 10
    width: int | None = 3


def own(**options):
    return options


@pytest.fixture
def user_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "users_own_models", sys.modules[__name__])
    return "users_own_models"


def test_options_reach_the_model():
    model = create("resnet20", num_classes=40, shortcut="B")
    assert (model.depth, model.residual, model.num_classes, model.shortcut) == (20, True, 40, "B")
    assert create("plain56").residual is False


def test_a_users_own_class_or_function(user_module):
    assert create(f"{user_module}:Own", width=7) == Own(width=7)
    assert create(f"{user_module}:Own", width=None).width is None
    assert create(f"{user_module}:own", anything=1) == {"anything": 1}
    assert create("jaxcnn.architectures.lenet:LeNet5Common") == LeNet5Common()


@pytest.mark.parametrize("name, said", [
    ("resnet21", "unknown architecture 'resnet21'; did you mean '.*'resnet20'"),
    ("lenet", "did you mean 'lenet5'"),
    ("", "unknown architecture ''; known: alexnet"),
    ("jaxcnn.architectures.lenet:LeNet", "no attribute 'LeNet'; did you mean 'LeNet5'"),
    ("jaxcnn.no_such:Model", "no module 'jaxcnn.no_such'"),
    ("no_such_package.models:Model", "no module 'no_such_package.models'"),
    (":Model", "module:attribute"),
    ("jaxcnn:", "module:attribute"),
])  # fmt: skip
def test_an_unknown_name_is_answered_with_the_nearest(name, said):
    with pytest.raises(ValueError, match=said):
        create(name)


def test_an_unknown_option_is_answered_with_the_nearest_and_all(user_module):
    with pytest.raises(ValueError, match=r"convnet takes no option 'dropout'; did you mean 'dropout_rate'.*widths"):
        create("convnet", dropout=0.5)
    with pytest.raises(ValueError, match=r"lenet5 takes no option 'activation'.*known: dtype, num_classes$"):
        create("lenet5", activation="relu")
    with pytest.raises(ValueError, match="users_own_models:Own takes no option 'widht'; did you mean 'width'"):
        create(f"{user_module}:Own", widht=3)


def test_what_a_variant_fixes_is_not_an_option():
    with pytest.raises(ValueError, match="resnet20 takes no option 'depth'"):
        create("resnet20", depth=32)


def test_a_missing_dependency_of_the_users_module_stays_visible(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"needs_more.py, line 1: .*no_such_dependency"):
        create("needs_more:Model")
