"""Where images come from: tensorflow-datasets, image folders, the embedded digits, or a source of the user's own.

```python
splits = default_splits("digits")
records = load("digits", splits["train"])
for batch in stream(records, Order(len(records), seed=0), batch_size=128, stop=128 * steps):
    ...                                        # image uint8 (128, 32, 32, 1), label, mask, index
for batch in epoch(load("digits", splits["validation"]), batch_size=128):
    ...                                        # each record once; the last batch is padded, mask 0
```
"""

from jaxcnn.data.arrays import Arrays
from jaxcnn.data.batches import Batches, epoch, stream
from jaxcnn.data.crop import ResizedCrop, ScaledCrop
from jaxcnn.data.decode import decode_image
from jaxcnn.data.fields import GEOMETRY, LABEL
from jaxcnn.data.fit import DataError
from jaxcnn.data.joined import Joined
from jaxcnn.data.moments import channel_statistics, principal_components, statistics
from jaxcnn.data.order import Order
from jaxcnn.data.records import Records, Source
from jaxcnn.data.resident import read_all
from jaxcnn.data.samplers import SAMPLERS, make_order
from jaxcnn.data.sources import (
    check_classes,
    default_splits,
    load,
    load_allowed,
    located,
    look_up_once,
    path_of,
    splits_of_allowed,
)

__all__ = [
    "GEOMETRY",
    "LABEL",
    "SAMPLERS",
    "Arrays",
    "Batches",
    "DataError",
    "Joined",
    "Order",
    "Records",
    "ResizedCrop",
    "ScaledCrop",
    "Source",
    "channel_statistics",
    "check_classes",
    "decode_image",
    "default_splits",
    "epoch",
    "load",
    "load_allowed",
    "located",
    "look_up_once",
    "make_order",
    "path_of",
    "principal_components",
    "read_all",
    "splits_of_allowed",
    "statistics",
    "stream",
]
