from swinkit.pictures.drawing import save_figure
from swinkit.pictures.figures import ScorePanel, curves


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_curves_of_one_epoch_and_of_many(tmp_path):
    row = {"train_loss": 1.0, "val_loss": 0.9, "val_top1": 0.5, "val_top5": 0.8, "lr": 1e-3}
    for count in (1, 40):
        figure = curves([{"epoch": index + 1, **row} for index in range(count)])
        save_figure(figure, tmp_path / "curves.png")
    assert any("best 50.0% in epoch 1" in title for title in titles(figure))
    assert [len(axes.lines) for axes in figure.axes] == [2, 3, 1]


def test_scores_of_another_task_without_a_validation_loss():
    rows = [
        {"epoch": index + 1, "train_loss": 1.0, "lr": 1e-3, "val_box_ap": score, "val_mask_ap": 1.0}
        for index, score in enumerate((0.1, 0.4, 0.3))
    ]
    panel = ScorePanel(
        title="validation AP",
        columns=(("val_box_ap", "boxes"), ("val_mask_ap", "masks")),
        better=lambda row: (row["val_box_ap"],),
        dull_at_one=False,
    )
    figure = curves(rows, panel)
    assert "validation AP, best 40.0% in epoch 2" in titles(figure)
    assert [len(axes.lines) for axes in figure.axes] == [1, 3, 1]
