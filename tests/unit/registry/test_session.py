import pytest

from pullstudy.registry.session import choose_base_url, is_temporary


@pytest.mark.parametrize(
    ("registry", "plain_http", "url"),
    [
        ("docker.io", False, "https://registry-1.docker.io"),
        ("ghcr.io", False, "https://ghcr.io"),
        ("localhost:5000", False, "http://localhost:5000"),
        ("127.0.0.1:5000", False, "http://127.0.0.1:5000"),
        ("[::1]:5000", False, "http://[::1]:5000"),
        ("127.0.0.1.example.com", False, "https://127.0.0.1.example.com"),
        ("10.77.0.1:5000", True, "http://10.77.0.1:5000"),
    ],
)
def test_only_this_machine_is_talked_to_without_encryption(
    registry: str, plain_http: bool, url: str
) -> None:
    assert choose_base_url(registry, plain_http=plain_http) == url


def test_temporary_answers() -> None:
    assert [status for status in range(400, 600) if is_temporary(status)] == [
        408, 425, 429, 500, *range(502, 505), *range(506, 600),
    ]  # fmt: skip
