package lib.labels

of(thing) := object.get(thing, ["metadata", "labels"], {})
