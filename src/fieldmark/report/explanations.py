"""What each section of the report is about, for readers who meet its subject for the first time.

In: nothing. Out: one or two plain sentences a section.
Not covered: what this very run came to, which the sections themselves say.
"""

from collections.abc import Mapping

ABOUT: Mapping[str, str] = {
    "photos": (
        "Before anything is learned, one looks at the photos: how many there are of each class and "
        "what they look like. A class with few photos, or with all of one kind, is hard to learn."
    ),
    "preprocessing": (
        "A network takes pictures of one size, as numbers. How a photo gets there belongs to the "
        "model: it is the same in training, in testing and for every new photo."
    ),
    "network": (
        "A network is a chain of layers: the first react to edges and colours, later ones to "
        "shapes and parts, and the last one names the class. Its parameters are the numbers that "
        "learning sets."
    ),
    "weights": (
        "Learning begins either with random numbers or with weights learned on other pictures. "
        "The latter is called transfer: what they can already see need not be learned again, so "
        "far fewer photos do."
    ),
    "optimizer": (
        "The optimizer moves every parameter a little, again and again, so that the loss, the "
        "measure of how wrong the answers are, goes down. The learning rate says how far: small "
        "steps take long, large ones never settle."
    ),
    "curves": (
        "A network can learn its training photos by heart and be none the wiser about others. "
        "Where it gets better on the former but not on photos kept from it, that is overfitting."
    ),
    "scores": (
        "Accuracy counts all photos alike. Precision says how far a class can be believed when it "
        "is named, recall how much of a class is found."
    ),
    "confidence": (
        "A classifier says how sure it is of an answer. That is of use only if answers given with "
        "90\u00a0% confidence are right nine times in ten, and if it can say that it does not know."
    ),
    "unfamiliar": (
        "A classifier knows nothing but its classes, and names a photo of anything else as one of "
        "them, often surely. So each photo is held against those of training, to see whether it is "
        "like any of them at all."
    ),
    "confusion": (
        "Each row holds the test photos that truly are of a class; the column says what they were "
        "named. The diagonal is right, everything else is a mistake."
    ),
    "mistakes": (
        "What it gets wrong while it is sure of itself teaches most. Look for photos whose label "
        "is wrong, too: there the classifier may be right."
    ),
    "classes": (
        "A class is more than its score: its typical photos show what the classifier takes it for, "
        "the odd ones where that ends."
    ),
    "degradation": (
        "Photos in use are seldom as good as those of a test: dark, blurred, small, half covered. "
        "So test photos were damaged on purpose, more and more, to see what is still named right."
    ),
    "attention": (
        "A network may be right for the wrong reason, such as the meadow on which all cows stand. "
        "So for some photos it is traced back which places spoke for the answer."
    ),
    "impact": (
        "Settings such as the learning rate, called hyperparameters, are chosen, not learned. What "
        "they do shows only where they are changed one by one, and each several times: a study."
    ),
    "more-photos": (
        "The more photos it learns from, the fewer mistakes it makes, and each doubling takes off "
        "about the same share of them. So learning from fewer photos shows what more would bring."
    ),
    "shortcuts": (
        "A shortcut is something beside the subject that gives the class away, such as the size of "
        "the file. A network that learns it does well here and fails on other photos."
    ),
    "grouping": (
        "Copies of one photo, and others that belong together, make a test too easy when some are "
        "learned from and some are tested on."
    ),
    "labels": (
        "A label is the class that a photo is said to be of. Where it is wrong, the network learns "
        "it wrong, and is judged by it, too."
    ),
    "findings": (
        "No network is better than its photos. So they are searched for damage, copies, wrong "
        "labels and classes that are too small before anything is learned."
    ),
    "recipe": (
        "Every setting that this run used. Where a value was worked out from the photos, the "
        "network or the machine, the reason stands beside it."
    ),
    "card": (
        "What goes with the model where this report does not: what it is good for, what not, and "
        "how that is known. It stands as MODEL_CARD.md in the folder of the model."
    ),
    "provenance": ("What is needed to know where these numbers come from, and to get them again."),
}
"""By the id of the section. The result at the top needs none."""
