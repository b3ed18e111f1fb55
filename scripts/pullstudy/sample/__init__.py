"""The sample study: a small made-up ecosystem, drawn with a seed from `resources/sample`."""
