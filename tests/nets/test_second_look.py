"""The second look: a score, and landmarks in eye distances."""

from __future__ import annotations

import torch

from facefill.nets.second_look import OUTPUTS, SecondLookConfig, SecondLookNet


def test_it_learns_where_a_face_is_and_what_is_none() -> None:
    torch.manual_seed(0)
    net = SecondLookNet(SecondLookConfig(widths=(8, 8, 8, 8), dilations=((1,),) * 3, hidden=16))
    image = torch.rand(6, 3, 160, 160) * 2 - 1
    faces = torch.tensor([1.0, 1, 1, 0, 0, 0])
    points = torch.rand(6, 5, 2) * 0.2
    points[:, 0, 0] -= 0.3
    batch = {"image": image, "faces": faces, "landmarks": points}
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(60):
        loss = torch.stack(list(net.losses("generator", batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert net(image=image).shape == (6, OUTPUTS)
    assert net.score(batch).min() > 0.8


def test_scores_by_hand_and_landmarks_of_no_face_teach_nothing() -> None:
    net = SecondLookNet(SecondLookConfig())
    points = torch.zeros(3, 5, 2)
    points[:, 1, 0] = 0.2
    said = torch.zeros(3, OUTPUTS)
    said[:, 1:] = points.flatten(1)
    said[:, 1:] += torch.tensor([0.02, 0.0]).repeat(5)
    said[:, 0] = torch.tensor([1.0, -1, 1])
    net.forward = lambda **inputs: said  # type: ignore[method-assign]
    batch = {"image": said, "faces": torch.tensor([1.0, 0, 0]), "landmarks": points}
    assert torch.allclose(net.score(batch), torch.tensor([0.9, 1, 0]), atol=1e-5)
    before = net.losses("generator", batch)["landmarks"]
    said[1:, 1:] += 1
    assert net.losses("generator", batch)["landmarks"] == before
