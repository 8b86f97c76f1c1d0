"""The vision tower's first layer as a product: the same numbers as the convolution."""

import copy

import torch

from obvlib.models import load, tiny_bundle
from obvlib.models.packed_forward import check_model
from obvlib.models.patch_product import PatchProduct, multiply_patches


def as_convolution(model):
    proj = copy.deepcopy(model.model.visual.patch_embed.proj)
    proj.__class__ = torch.nn.Conv3d
    return proj


def test_a_loaded_model_multiplies_its_patches(tmp_path):
    bundle = tiny_bundle()
    bundle.save(tmp_path)
    for model in (bundle.model, load(str(tmp_path)).model):
        proj = model.model.visual.patch_embed.proj
        assert type(proj) is PatchProduct
        check_model(model)  # the fast pass takes it


def test_the_product_is_the_convolution():
    model = tiny_bundle().model
    proj = model.model.visual.patch_embed.proj
    patches = torch.randn(7, 3, 2, 14, 14, requires_grad=True)
    product, convolved = proj(patches), as_convolution(model)(patches)
    assert product.shape == (7, 96)
    torch.testing.assert_close(product, convolved.flatten(1), atol=1e-5, rtol=1e-5)


def test_another_convolution_stays_one():
    moving = torch.nn.Sequential(torch.nn.Conv3d(3, 4, (2, 3, 3), stride=(2, 1, 1)))
    multiply_patches(moving)
    assert type(moving[0]) is torch.nn.Conv3d
