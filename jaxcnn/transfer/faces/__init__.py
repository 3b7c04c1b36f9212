"""Who is it: pairs of images verified, images identified among those of a gallery, by vectors of any origin."""
