"""The paper: the template of `resources/paper` with the numbers and figures of one run."""
