"""One image under COCO's three names is one image; an image of another data set is another."""

import pytest

from seednb.core.errors import SeedError
from seednb.data.leaks import image_key, leaked_images, refuse_leaks

NAMES = (
    "COCO_train2014_000000000042.jpg",
    "COCO_val2014_000000000042.jpg",
    "000000000042.jpg",
    "coco/train2017/000000000042.jpg",
    "train2017_000000000042.png",
)


@pytest.mark.parametrize("trained", NAMES)
@pytest.mark.parametrize("asked", NAMES)
def test_a_training_image_is_found_under_every_name_of_coco(trained, asked):
    assert leaked_images([trained], [asked, "COCO_val2014_000000000043.jpg"]) == [asked]


def test_another_number_or_another_data_set_is_another_image():
    assert leaked_images(["COCO_train2014_000000000042.jpg"], ["000000000421.jpg"]) == []
    assert leaked_images(["POCKET_train_000000000042.jpg"], NAMES) == []
    same = ["POCKET_val_000000500001.jpg"]
    assert leaked_images(same, same) == same


@pytest.mark.parametrize("name", ["AMBER_42.jpg", "1454426_2591111986", "VD/map/0_1.png", "42.jpg"])
def test_a_name_without_coco_s_number_is_not_compared(name):
    assert image_key(name) is None
    assert leaked_images([name], [name]) == []


def test_a_leak_names_the_benchmark_and_the_images():
    asked = [f"COCO_val2014_{n:012d}.jpg" for n in range(9)]
    with pytest.raises(SeedError, match=r"pope: 7 of its images .*000000000002\.jpg.* and 2 more"):
        refuse_leaks((f"{n:012d}.jpg" for n in range(2, 9)), asked * 2, "pope")
    refuse_leaks(["000000000099.jpg"], asked, "pope")
