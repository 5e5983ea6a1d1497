"""The category memory against a Python list of the last L features."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.contrast.bank import ClassBank


def rows(values):
    """A batch of one class whose features and densities are these numbers."""
    new = torch.tensor(values, dtype=torch.float32).reshape(1, -1)
    return new.unsqueeze(-1).repeat(1, 1, 2), new / 1000, torch.ones_like(new, dtype=torch.bool)


def held(bank, n=0):
    return sorted(bank.features_CLD[n, bank.valid_CL[n], 0].tolist())


def test_first_in_first_out_with_wraparound():
    bank = ClassBank(1, 3, 2)
    assert held(bank) == []
    bank.insert(*rows([1, 2]))
    assert held(bank) == [1, 2]
    bank.insert(*rows([3, 4]))
    assert held(bank) == [2, 3, 4]
    bank.insert(*rows([5]))
    assert held(bank) == [3, 4, 5]


def test_of_more_than_l_the_last_l_stay():
    bank = ClassBank(1, 3, 2)
    bank.insert(*rows([9]))
    bank.insert(*rows(list(range(1, 9))))
    assert held(bank) == [6, 7, 8]
    bank.insert(*rows([20]))
    assert held(bank) == [7, 8, 20]


@given(
    length=st.integers(1, 6),
    batches=st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=9), max_size=5),
)
def test_any_insertions_equal_a_list_of_the_last_l(length, batches):
    """Two classes at once, the valid units anywhere in the row; densities travel with features."""
    bank, lists, counter = ClassBank(2, length, 2), ([], []), 0
    for flags in batches:
        values = torch.zeros(2, len(flags))
        for place, pair in enumerate(flags):
            for n, valid in enumerate(pair):
                counter += 1
                values[n, place] = counter
                if valid:
                    lists[n].append(counter)
        valid = torch.tensor(flags, dtype=torch.bool).reshape(len(flags), 2).T
        bank.insert(values.unsqueeze(-1).repeat(1, 1, 2), values / 1000, valid)
        for n in range(2):
            assert held(bank, n) == lists[n][-length:]
            kept = bank.valid_CL[n]
            torch.testing.assert_close(
                bank.density_CL[n, kept], bank.features_CLD[n, kept, 0] / 1000
            )


def test_state_dict_round_trip_goes_on_alike():
    bank, other = ClassBank(1, 3, 2), ClassBank(1, 3, 2)
    bank.insert(*rows([1, 2, 3, 4]))
    other.load_state_dict(bank.state_dict())
    assert set(bank.state_dict()) == {"features_CLD", "density_CL", "written_C"}
    for each in (bank, other):
        each.insert(*rows([5]))
    assert held(other) == held(bank) == [3, 4, 5]
    assert torch.equal(other.features_CLD, bank.features_CLD)


def test_a_bank_without_length_takes_nothing():
    bank = ClassBank(2, 0, 4)
    bank.insert(torch.ones(2, 3, 4), torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert bank.valid_CL.shape == (2, 0)
    assert bank.written_C.tolist() == [0, 0]


def test_what_is_stored_carries_no_gradient():
    bank = ClassBank(1, 3, 2)
    features, density, valid = rows([1, 2])
    bank.insert(features.requires_grad_(), density.requires_grad_(), valid)
    assert not bank.features_CLD.requires_grad
    assert not bank.density_CL.requires_grad
    assert bank.density_CL[0, :2].tolist() == pytest.approx([0.001, 0.002])
