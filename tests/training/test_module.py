import pytest
import torch
from torch.nn import functional

from swinkit.classification.train import ClassificationTraining
from swinkit.classification.train_config import AugmentationConfig
from swinkit.errors import TrainingError
from swinkit.training.module import TrainingModule, build_model
from swinkit.training.optimizer import frozen_modules
from swinkit.training.recorder import WeightAverage
from swinkit.training.schedule import Schedule


def module_of(config, class_weights=None):
    task = ClassificationTraining(config)
    task.class_weights = class_weights
    return TrainingModule(
        build_model(task),
        task,
        schedule=Schedule(config.schedule, 3),
        images_per_step=8,
    )


@pytest.fixture
def plain(tiny_config):
    return tiny_config(augmentation=AugmentationConfig.off(), model={"drop_path_rate": 0.0})


class FakeTrainer:
    """What a step asks of a trainer."""

    current_epoch = global_step = 2
    global_rank = 0
    world_size = 1
    barebones = False


def step(module, batch):
    module._trainer = FakeTrainer()
    return module.training_step(batch, 0)


@pytest.fixture
def batch():
    return torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 2, 2, 2]), torch.arange(6)


def test_class_weights_divide_by_images(plain, batch):
    weights = torch.tensor([2.0, 0.75, 0.25])
    module = module_of(plain, weights)
    loss = step(module, batch)["loss"]
    logits = module.model(batch[0])
    each = functional.cross_entropy(logits, batch[1], reduction="none")
    torch.testing.assert_close(loss, (each * weights[batch[1]]).sum() / 6)


def test_label_smoothing_and_mixing_reach_the_loss(tiny_config, batch):
    config = tiny_config(
        augmentation=AugmentationConfig(mixup_alpha=0.0, cutmix_alpha=0.0, label_smoothing=0.3),
        model={"drop_path_rate": 0.0},
    )
    module = module_of(config)
    expected = functional.cross_entropy(module.model(batch[0]), batch[1], label_smoothing=0.3)
    torch.testing.assert_close(step(module, batch)["loss"], expected)
    mixed = step(module_of(tiny_config()), batch)
    assert not mixed["shown"]["images"].equal(batch[0])
    torch.testing.assert_close(mixed["shown"]["targets"].sum(1), torch.ones(6))


def test_a_step_depends_on_seed_epoch_and_batch_alone(tiny_config, batch):
    module = module_of(tiny_config())
    first = step(module, batch)["loss"]
    torch.randn(5)
    assert step(module, batch)["loss"].equal(first)
    FakeTrainer.current_epoch = 3
    try:
        assert not step(module, batch)["loss"].equal(first)
    finally:
        FakeTrainer.current_epoch = 2


def test_nan_loss_names_epoch_and_remedy(plain, batch):
    module = module_of(plain)
    with pytest.raises(
        TrainingError, match=r"nan in epoch 3, step 2; lower optimizer\.lr.*projection"
    ):
        step(module, (batch[0] * float("nan"), *batch[1:]))


def test_frozen_stages_stay_in_evaluation(tiny_config):
    module = module_of(tiny_config(model={"frozen_stages": 1}))
    module.on_train_epoch_start()
    frozen = frozen_modules(module.model, 1)
    assert not any(part.training for top in frozen for part in top.modules())
    assert module.model.backbone.stages[1].training
    assert module.model.head.training


def test_optimizer_follows_settings(tiny_config):
    config = tiny_config(
        optimizer={"lr": 1e-3, "lr_batch": 16, "weight_decay": 0.2, "betas": (0.8, 0.9)}
    )
    made = module_of(config).configure_optimizers()
    groups = made["optimizer"].param_groups
    assert {group["weight_decay"] for group in groups} == {0.0, 0.2}
    assert all(group["initial_lr"] == pytest.approx(5e-4) for group in groups)
    assert groups[0]["betas"] == (0.8, 0.9)
    assert made["lr_scheduler"]["interval"] == "step"


def test_average_follows_the_formula(plain):
    module = module_of(plain)
    average = WeightAverage(0.9)
    trainer = FakeTrainer()
    average.on_fit_start(trainer, module)
    expected = module.model.head.fc.weight.detach().clone()
    for number in range(1, 4):
        trainer.global_step = number
        with torch.no_grad():
            module.model.head.fc.weight += number
        average.on_train_batch_end(trainer, module, None, None, 0)
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * module.model.head.fc.weight.detach()
        # A second pass of an accumulated step is not another update.
        average.on_train_batch_end(trainer, module, None, None, 1)
    torch.testing.assert_close(average.average["head.fc.weight"], expected)


def test_average_is_validated_and_taken_back(plain, batch):
    module = module_of(plain).eval()
    average = WeightAverage(0.9)
    average.on_fit_start(FakeTrainer(), module)
    start = module.model(batch[0]).detach()
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter += 0.1
    moved = module.model(batch[0]).detach()
    average.on_validation_epoch_start(FakeTrainer(), module)
    # Position biases are kept between forwards in evaluation: they must notice the exchange.
    torch.testing.assert_close(module.model(batch[0]).detach(), start)
    average.on_validation_epoch_end(FakeTrainer(), module)
    torch.testing.assert_close(module.model(batch[0]).detach(), moved)


def test_average_survives_its_state(plain):
    module = module_of(plain)
    first, second = WeightAverage(0.9), WeightAverage(0.9)
    first.on_fit_start(FakeTrainer(), module)
    first.updates = 7
    with torch.no_grad():
        module.model.head.fc.weight += 1
    second.load_state_dict(first.state_dict())
    second.on_fit_start(FakeTrainer(), module)
    assert second.updates == 7
    assert second.average["head.fc.weight"].equal(first.average["head.fc.weight"])
