"""Recipes: found by name or file, checked key by key, changed by --set, and written out again."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base.errors import RecipeError
from fieldmark.data.augment import AugmentConfig
from fieldmark.data.preprocess import DataConfig
from fieldmark.data.splits import SplitConfig
from fieldmark.models.backbones import ModelConfig
from fieldmark.recipe import (
    BUILT_IN,
    SCHEMA_VERSION,
    Recipe,
    load_recipe,
    override,
    recipe_tables,
    recipe_toml,
)
from fieldmark.training.config import TrainConfig
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import ProbeConfig


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as refused:
        load_recipe(write(folder, text))
    return str(refused.value)


def refused_set(*assignments: str) -> str:
    with pytest.raises(RecipeError) as refused:
        override(Recipe(), assignments)
    return str(refused.value)


# Found by name or file


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_recipe_loads_under_its_name(name: str) -> None:
    assert load_recipe(name).name == name


def test_each_file_in_the_package_is_a_built_in_recipe() -> None:
    import fieldmark.recipe

    files = Path(fieldmark.recipe.__file__).with_name("recipes").glob("*.toml")
    assert sorted(file.stem for file in files) == sorted(BUILT_IN)


def test_quick_freezes_the_backbone_and_the_other_recipes_train_it() -> None:
    strategies = {name: load_recipe(name).train.strategy for name in BUILT_IN}
    trained = {"finetune": "head-then-all", "digits": "all", "scratch": "all", "reference": "all"}
    assert strategies == {"quick": "probe", **trained}


def test_recipes_that_begin_with_random_weights_say_so() -> None:
    weights = {name: load_recipe(name).model.weights for name in BUILT_IN}
    assert weights["scratch"] == "none"
    assert weights["finetune"] == weights["quick"] == "auto"


def test_the_reference_chooses_nothing_and_watches_the_test_photos() -> None:
    recipe = load_recipe("reference")
    assert (recipe.split.test, recipe.split.validation) == (0.33, 0)
    train, optim = recipe.train, recipe.optim
    assert (train.keeps_best, train.patience, train.watch_test) == (False, None, True)
    assert (train.label_smoothing, train.batch_norm, train.batch_size) == (0, "batch", 32)
    assert (optim.name, optim.lr, optim.epsilon, optim.weight_decay) == ("adam", 1e-3, 1e-7, 0)
    assert (optim.schedule, optim.warmup_epochs, optim.head_lr_factor) == ("constant", 0, 1)
    assert (recipe.data.size_px, recipe.data.resize) == (50, "squash")
    assert (recipe.data.antialias, recipe.data.interpolation) == (False, "bilinear")
    assert (recipe.model.backbone, recipe.model.head) == ("keras_resnet50", "flatten")
    changes = recipe.augment.resolved()
    assert (changes.flip_horizontal, changes.flip_vertical, changes.rotate_turns) == (
        *(True, True),
        0.4,
    )
    assert (changes.crop_scale, changes.colour, changes.mixup) == ((1.0, 1.0), 0, 0)


def test_digits_are_never_mirrored() -> None:
    changes = load_recipe("digits").augment.resolved()
    assert (changes.flip_horizontal, changes.flip_vertical) == (False, False)


def test_a_misspelt_recipe_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'quik'\. Did you mean 'quick'\?"):
        load_recipe("quik")


def test_a_file_is_named_after_itself_and_changes_only_what_it_names(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "[train]\nepochs = 3\n", "birds.toml"))
    assert recipe == replace(Recipe(name="birds"), train=TrainConfig(epochs=3))


def test_a_recipe_file_need_not_end_in_toml(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "[train]\nepochs = 3\n", "birds.txt")).train.epochs == 3


def test_a_missing_file_is_named_without_system_jargon(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe(str(tmp_path / "gone.toml"))
    message = str(refused.value)
    assert str(tmp_path / "gone.toml") in message
    assert "No such file" in message
    assert "Errno" not in message


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Is a directory"):
        load_recipe(str(tmp_path))


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(str(path))


# Checked key by key


def test_text_that_is_not_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[train]\nepochs 3\n")
    assert "mine.toml is not valid TOML" in message
    assert "line 2" in message


@pytest.mark.parametrize(
    ("text", "unknown", "meant"),
    [
        ("[trian]\nepochs = 3\n", "'trian'", "'train'"),
        ("[train]\nepoch = 3\n", "'train.epoch'", "'epochs'"),
        ("[model]\nbackbon = 'resnet18'\n", "'model.backbon'", "'backbone'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_spelling(
    tmp_path: Path, text: str, unknown: str, meant: str
) -> None:
    message = refusal(tmp_path, text)
    assert unknown in message
    assert f"Did you mean {meant}?" in message
    assert "Allowed" in message


def test_a_key_outside_of_every_section_is_refused(tmp_path: Path) -> None:
    assert "no section 'epochs'" in refusal(tmp_path, "epochs = 3\n")


def test_a_section_must_be_a_table(tmp_path: Path) -> None:
    assert "'train' must be a table" in refusal(tmp_path, "train = 3\n")


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("[train]\nepochs = '3'\n", "train.epochs is '3'", "a whole number"),
        ("[train]\nepochs = 3.0\n", "train.epochs is 3.0", "a whole number"),
        ("[train]\nepochs = true\n", "train.epochs is True", "a whole number"),
        ("[optim]\nlr = true\n", "optim.lr is True", "a number"),
        ("[optim]\nlr = nan\n", "optim.lr is nan", "a number"),
        ("[optim]\nwarmup_epochs = inf\n", "optim.warmup_epochs is inf", "a number"),
        (f"[optim]\nlr = 1{'0' * 400}\n", "optim.lr is 1000", "a number"),
        ("[model]\nbackbone = 18\n", "model.backbone is 18", "text"),
        ("[model]\nbackbone_args = 3\n", "model.backbone_args is 3", "a table"),
        ("[augment]\nflip_vertical = 1\n", "augment.flip_vertical is 1", "true or false"),
        ("[augment]\ncrop_scale = [0.5, 'x']\n", "augment.crop_scale is [0.5, 'x']", "a list of 2"),
        ("[data]\nresize = 'sqash'\n", "data.resize is 'sqash'", '"squash", "crop", "pad"'),
        ("[data]\nsize_px = []\n", "data.size_px is []", 'a whole number or "none"'),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_what_is_allowed(
    tmp_path: Path, text: str, key: str, allowed: str
) -> None:
    message = refusal(tmp_path, text)
    assert key in message
    assert allowed in message.split("allowed:")[1]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[train]\nepochs = 0\n", "train.epochs is 0"),
        ("[train]\nstrategy = 'half'\n", "train.strategy is 'half'"),
        ("[split]\ntest = 1.5\n", "split.test is 1.5"),
        ("[data]\nsize_px = 4\n", "data.size_px is 4"),
        ("[optim]\nlr = 0\n", "optim.lr is 0"),
        ("[model]\nstages = 4\n", "model.stages is 4"),
        ("[probe]\nl2 = -1\n", "probe.l2 is -1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_file_and_key(
    tmp_path: Path, text: str, key: str
) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(str(tmp_path / "mine.toml"))
    assert key in message


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"schema_version = {SCHEMA_VERSION + 1}\n")
    assert f"schema version {SCHEMA_VERSION + 1}" in message
    assert "Install a newer Fieldmark" in message


def test_reasons_in_a_file_are_read_over(tmp_path: Path) -> None:
    text = '[train]\nepochs = 3\n[reasons]\n"train.epochs" = "because"\n'
    assert load_recipe(write(tmp_path, text)).train.epochs == 3


# Changed by --set


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("optim.lr=1e-3", 1e-3),
        ("optim.lr=1", 1.0),
        ("optim.lr= 0.01 ", 0.01),
        ("train.epochs=7", 7),
        ("augment.flip_vertical=true", True),
        ("augment.crop_scale=[0.5, 1]", (0.5, 1.0)),
        ("augment.crop_scale=0.5", 0.5),
        ("model.backbone=resnet18", "resnet18"),
        ("model.backbone='resnet18'", "resnet18"),
        ("model.weights=my weights/folder=1", "my weights/folder=1"),
        ("model.backbone_args={ layers = [1, 1] }", {"layers": [1, 1]}),
        ("probe.l2=auto", "auto"),
        ("probe.l2=0.5", 0.5),
        ("augment.policy=none", "none"),
        ("data.resize=pad", "pad"),
    ],
)
def test_set_reads_numbers_flags_lists_tables_and_text(assignment: str, expected: object) -> None:
    section, _, key = assignment.partition("=")[0].partition(".")
    value = getattr(getattr(override(Recipe(), [assignment]), section), key)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize("key", ["data.size_px", "data.resize", "augment.crop_scale"])
def test_set_to_none_leaves_an_optional_field_open_again(key: str) -> None:
    section, _, name = key.partition(".")
    chosen = Recipe(
        data=DataConfig(size_px=64, resize="crop"), augment=AugmentConfig(crop_scale=0.5)
    )
    assert getattr(getattr(chosen, section), name) is not None
    assert getattr(getattr(override(chosen, [f"{key}=none"]), section), name) is None


def test_set_to_none_is_refused_where_a_value_is_needed() -> None:
    assert "train.epochs is 'none'" in refused_set("train.epochs=none")


def test_of_two_settings_of_one_key_the_last_counts() -> None:
    assert override(Recipe(), ["train.epochs=5", "train.epochs=6"]).train.epochs == 6


def test_settings_are_judged_together_and_not_one_by_one() -> None:
    # Against the default validation of 0.1, a test share of 0.95 alone would not be allowed.
    split = override(Recipe(), ["split.test=0.95", "split.validation=0.01"]).split
    assert (split.test, split.validation) == (0.95, 0.01)


@pytest.mark.parametrize("text", ["epochs", "train.epochs", "epochs=5", "train.=5", ".epochs=5"])
def test_a_malformed_setting_is_answered_with_the_form(text: str) -> None:
    assert f"'--set {text}' is not of the form section.key=value" in refused_set(text)


def test_an_unknown_key_in_a_setting_is_answered_with_the_nearest_spelling() -> None:
    assert "Did you mean 'train'?" in refused_set("trian.epochs=5")
    message = refused_set("train.epoch=5")
    assert message.startswith("--set: ")
    assert "Did you mean 'epochs'?" in message


def test_a_setting_without_a_value_is_refused() -> None:
    assert "train.epochs is ''" in refused_set("train.epochs=")


def test_a_setting_out_of_range_is_refused() -> None:
    assert "train.epochs is 0" in refused_set("train.epochs=0")


# Written out again

NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
SHARES = st.floats(0.01, 0.45)
PLAIN = st.none() | st.booleans() | st.integers(-9, 9) | NAMES
TABLES = st.recursive(
    st.dictionaries(NAMES, PLAIN.filter(lambda value: value is not None), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(st.integers(0, 9)), max_size=2),
    max_leaves=4,
)
RECIPES = st.builds(
    Recipe,
    name=st.just("mine"),
    data=st.builds(
        DataConfig,
        size_px=st.none() | st.integers(64, 512),
        resize=st.none() | st.sampled_from(["squash", "crop", "pad"]),
        orientation=st.none() | st.sampled_from(["exif", "stored"]),
        prescale_px=st.none() | st.integers(8, 64),
    ),
    split=st.builds(SplitConfig, test=SHARES, validation=SHARES, seed=st.integers(0, 2**31)),
    model=st.builds(
        ModelConfig,
        backbone=NAMES,
        weights=NAMES,
        stages=st.integers(0, 3),
        feature_power=st.floats(0.01, 1),
        backbone_args=TABLES,
    ),
    probe=st.builds(ProbeConfig, l2=st.just("auto") | st.floats(1e-9, 1e9)),
    optim=st.builds(
        OptimConfig,
        lr=st.floats(1e-9, 9),
        schedule=st.sampled_from(["cosine", "constant"]),
        warmup_epochs=st.floats(0, 100),
    ),
    augment=st.builds(
        AugmentConfig,
        policy=st.sampled_from(["none", "flip", "standard"]),
        flip_vertical=st.none() | st.booleans(),
        rotate_turns=st.none() | st.floats(0, 0.5),
        crop_scale=st.none()
        | st.floats(0.1, 1)
        | st.tuples(st.floats(0.1, 0.5), st.floats(0.5, 1)),
    ),
    train=st.builds(
        TrainConfig,
        strategy=st.sampled_from(["probe", "all"]),
        epochs=st.integers(1, 10_000),
        label_smoothing=st.floats(0, 0.9),
        seed=st.integers(0, 2**31),
    ),
)


@given(recipe=RECIPES)
def test_a_recipe_written_as_toml_reads_back_as_the_same_recipe(recipe: Recipe) -> None:
    from fieldmark.recipe import _parse

    assert _parse(recipe_toml(recipe), name="mine", where="test") == recipe


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_recipe_survives_the_way_through_a_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, recipe_toml(load_recipe(name)), f"{name}.toml")
    assert load_recipe(path) == load_recipe(name)


def test_the_written_recipe_carries_its_schema_and_every_section() -> None:
    import tomllib

    content: dict[str, Any] = tomllib.loads(recipe_toml(Recipe()))
    assert content.pop("schema_version") == SCHEMA_VERSION
    assert list(content) == [section.name for section in fields(Recipe) if section.name != "name"]


def test_fields_left_open_are_not_written_at_any_depth() -> None:
    args = {"drop_rate": None, "inner": {"a": None, "b": 1}}
    tables = recipe_tables(Recipe(model=ModelConfig(backbone_args=args)))
    assert tables["data"] == {"antialias": True}
    assert tables["model"]["backbone_args"] == {"inner": {"b": 1}}
