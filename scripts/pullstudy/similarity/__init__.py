"""How similar containers are: by the text of their layers and by their layer digests."""
