"""What a refused command looks like."""


def assert_refused(outcome, found, hint):
    """Exit code 1, nothing on stdout, one line of what was found and one of what to do."""
    assert outcome.code == 1
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert len(lines) == 2, outcome.err
    assert lines[0].startswith("Error: ")
    assert lines[1].startswith("Hint: ")
    assert found in lines[0]
    assert hint in lines[1]
