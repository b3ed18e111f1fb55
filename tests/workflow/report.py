"""How a reader goes through Snakemake's report: category by category, figure by figure."""

from __future__ import annotations

from tests.browser import Browser

# Clicks on the link with this text, as soon as there is one.
_CLICK_LINK = """
const links = [...document.querySelectorAll('a')];
const link = links.find(link => link.textContent.trim() == arguments[0]);
return link && (link.click(), true);
"""
# Clicks on the eye beside the name of a figure; false where there is no further one.
_SHOW_FIGURE = """
const eye = document.querySelectorAll('td a[iconname=eye]')[arguments[0]];
return eye ? (eye.click(), true) : false;
"""
# The name of a picture that has been decoded and is none of those seen before.
_NEW_PICTURE = r"""
for (const image of document.images) {
    const name = (image.src.slice(0, 200).match(/filename=(fig_\w+\.png)/) || [])[1];
    if (name && image.naturalWidth > 1000 && !arguments[0].includes(name)) return name;
}
"""


def go_through_figures(browser: Browser) -> set[str]:
    """Look at every figure of an open report; returns the names of those that were shown."""
    categories = browser.wait_for("return window.categories")
    shown: set[str] = set()
    for category, groups in categories.items():
        files = [file for group in groups.values() for file in group]
        if not all(file.endswith(".png") for file in files):
            continue
        browser.wait_for(_CLICK_LINK, category)
        for row in range(len(files)):
            browser.wait_for(_SHOW_FIGURE, row)
            shown.add(browser.wait_for(_NEW_PICTURE, sorted(shown)))
        browser.wait_for(_CLICK_LINK, "Results")
    return shown
